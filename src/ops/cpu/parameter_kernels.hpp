#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/ops.hpp"

namespace fedselect::ops::cpu {

/// One SGD step of one client: the rule, and the client's gradient scale.
struct SgdStep {
  SgdRule rule;
  float scale = 1;
};

/// The same of Adam.
struct AdamClientStep {
  AdamRule rule;
  AdamStep step;
  float scale = 1;
};

/// What a selection takes from one range.
struct SelectionRule {
  std::ptrdiff_t count = 0;
  Ties ties = Ties::exact;
  bool skip_zero = false;
};

/// The kernels on parameter vectors of one instruction set, for one client. Arrays as in ops.hpp.
///
/// `size` is a number of elements; the arrays reach to the next multiple of 64. A kernel may read
/// that padding; it neither changes it nor lets it count.
struct ParameterKernels {
  /// velocity is null without momentum, mask without a scope.
  void (*sgd_step)(std::ptrdiff_t size, const SgdStep& step, float* theta, const float* gradient,
                   float* velocity, const Word* mask);
  /// mask is null without a scope.
  void (*adam_step)(std::ptrdiff_t size, const AdamClientStep& step, float* theta,
                    const float* gradient, float* first, float* second, const Word* mask);
  void (*combine)(std::ptrdiff_t size, float a, const float* x, float b, const float* y,
                  float* out);
  double (*dot)(std::ptrdiff_t size, const float* x, const float* y);
  float (*largest_magnitude)(std::ptrdiff_t size, const float* values);
  double (*squared_norm)(std::ptrdiff_t size, const float* values);
  void (*add_proximal)(std::ptrdiff_t size, float lambda, const float* theta, const float* anchor,
                       float* gradient);
  void (*change_magnitude)(std::ptrdiff_t size, const float* theta, const float* reference,
                           float* out);
  std::ptrdiff_t (*count_bits)(std::ptrdiff_t size, const Word* bits);

  /// Bytes of 64-byte aligned scratch that select_top needs.
  std::ptrdiff_t (*selection_scratch)(std::ptrdiff_t size);
  /// False, and `chosen` unchanged, if an eligible score is not a number.
  bool (*select_top)(std::ptrdiff_t size, const SelectionRule& rule, const float* score,
                     const Word* eligible, Word* chosen, void* scratch);

  /// Adds one client. Returns -1, or the first index whose shared value is out of bounds: then the
  /// sums are as they were.
  std::ptrdiff_t (*accumulate)(std::ptrdiff_t size, const FixedPoint& fixed, std::uint32_t weight,
                               const float* theta, const Word* mask, const SumView& sum);
  /// Takes back the first `size` indices of what accumulate added.
  void (*retract)(std::ptrdiff_t size, const FixedPoint& fixed, std::uint32_t weight,
                  const float* theta, const Word* mask, const SumView& sum);
  void (*divide)(std::ptrdiff_t size, const FixedPoint& fixed, const SumView& sum, float* global);

  void (*unshared)(std::ptrdiff_t size, const std::uint32_t* weight, Word* bits);

  /// Returns how many values it packed.
  std::ptrdiff_t (*pack)(std::ptrdiff_t size, const float* theta, const Word* mask, float* packed);
  void (*unpack)(std::ptrdiff_t size, const float* packed, const Word* mask, float* theta);
};

}  // namespace fedselect::ops::cpu
