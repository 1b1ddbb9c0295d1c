#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "ops/cpu/cpu_ops.hpp"
#include "ops/cpu/parameter_kernels.hpp"
#include "ops/messages.hpp"

namespace fedselect::ops::cpu {

namespace baseline {
extern const ParameterKernels kParameterKernels;
}
#ifdef FEDSELECT_X86_KERNELS
namespace avx2 {
extern const ParameterKernels kParameterKernels;
}
namespace avx512 {
extern const ParameterKernels kParameterKernels;
}
#endif

const ParameterKernels& parameter_kernels(Isa isa) {
  switch (isa) {
#ifdef FEDSELECT_X86_KERNELS
    case Isa::avx512: return avx512::kParameterKernels;
    case Isa::avx2: return avx2::kParameterKernels;
#endif
    default: return baseline::kParameterKernels;
  }
}

namespace {

std::ptrdiff_t length(std::size_t size) { return static_cast<std::ptrdiff_t>(size); }

std::ptrdiff_t first_word(const Range& range) { return length(range.begin / kWordBits); }

/// Calls visit(g) for the clients that take part.
template <class Visit>
void for_each_client(const Group& group, const Visit& visit) {
  for (int g = 0; g < group.size(); ++g) {
    if (group.samples[static_cast<std::size_t>(g)] != 0) visit(g);
  }
}

/// Calls visit(g, range, index of the pair) for the ranges of the clients that take part.
template <class Visit>
void for_each_range(const Group& group, std::span<const Range> ranges, const Visit& visit) {
  for_each_client(group, [&](int g) {
    std::size_t index = static_cast<std::size_t>(g) * ranges.size();
    for (const Range& range : ranges) visit(g, range, index++);
  });
}

}  // namespace

void CpuOps::clip_scale(const Group& group, std::span<const Range> ranges, double limit,
                        ConstValues gradient, Values scale) {
  for_each_client(group, [&](int g) {
    double squares = 0;
    for (const Range& range : ranges)
      squares += parameters_.squared_norm(length(range.size), gradient[g] + length(range.begin));
    *scale[g] = static_cast<float>(std::min(1.0, limit / (std::sqrt(squares) + 1e-6)));
  });
}

void CpuOps::sgd_step(const Group& group, std::span<const Range> ranges, const SgdRule& rule,
                      ConstValues scale, Values theta, ConstValues gradient, Values velocity,
                      ConstBits mask) {
  for_each_range(group, ranges, [&](int g, const Range& range, std::size_t) {
    const auto begin = length(range.begin);
    parameters_.sgd_step(length(range.size), {rule, scale ? *scale[g] : 1.0F}, theta[g] + begin,
                         gradient[g] + begin, velocity ? velocity[g] + begin : nullptr,
                         mask ? mask[g] + first_word(range) : nullptr);
  });
}

void CpuOps::adam_step(const Group& group, std::span<const Range> ranges, const AdamRule& rule,
                       std::span<const AdamStep> steps, ConstValues scale, Values theta,
                       ConstValues gradient, Values first, Values second, ConstBits mask) {
  for_each_range(group, ranges, [&](int g, const Range& range, std::size_t) {
    const auto begin = length(range.begin);
    parameters_.adam_step(length(range.size),
                          {rule, steps[static_cast<std::size_t>(g)], scale ? *scale[g] : 1.0F},
                          theta[g] + begin, gradient[g] + begin, first[g] + begin,
                          second[g] + begin, mask ? mask[g] + first_word(range) : nullptr);
  });
}

void CpuOps::combine(const Group& group, std::size_t size, std::span<const float> a, ConstValues x,
                     std::span<const float> b, ConstValues y, Values out) {
  for_each_client(group, [&](int g) {
    const auto i = static_cast<std::size_t>(g);
    parameters_.combine(length(size), a[i], x[g], b[i], y[g], out[g]);
  });
}

void CpuOps::dot(const Group& group, std::span<const Range> ranges, ConstValues x, ConstValues y,
                 std::span<double> out) {
  for_each_client(group, [&](int g) { out[static_cast<std::size_t>(g)] = 0; });
  for_each_range(group, ranges, [&](int g, const Range& range, std::size_t) {
    const auto begin = length(range.begin);
    out[static_cast<std::size_t>(g)] +=
        parameters_.dot(length(range.size), x[g] + begin, y[g] + begin);
  });
}

void CpuOps::largest_magnitude(const Group& group, std::size_t size, ConstValues values,
                               std::span<double> out) {
  for_each_client(group, [&](int g) {
    out[static_cast<std::size_t>(g)] = parameters_.largest_magnitude(length(size), values[g]);
  });
}

void CpuOps::add_proximal(const Group& group, std::size_t size, float lambda, ConstValues theta,
                          ConstValues anchor, Values gradient) {
  for_each_client(group, [&](int g) {
    parameters_.add_proximal(length(size), lambda, theta[g], anchor[g], gradient[g]);
  });
}

void CpuOps::change_magnitude(const Group& group, std::size_t size, ConstValues theta,
                              ConstValues reference, Values out) {
  for_each_client(group, [&](int g) {
    parameters_.change_magnitude(length(size), theta[g], reference ? reference[g] : nullptr,
                                 out[g]);
  });
}

void CpuOps::count_bits(const Group& group, std::span<const Range> ranges, ConstBits bits,
                        std::span<std::int64_t> counts) {
  std::fill(counts.begin(), counts.end(), 0);
  for_each_range(group, ranges, [&](int g, const Range& range, std::size_t index) {
    counts[index] = parameters_.count_bits(length(range.size), bits[g] + first_word(range));
  });
}

void CpuOps::select_top(const Group& group, std::span<const Range> ranges,
                        std::span<const std::int64_t> counts, Ties ties, bool skip_zero,
                        ConstValues score, ConstBits eligible, Bits chosen) {
  std::ptrdiff_t bytes = 0;
  for (const Range& range : ranges) {
    bytes = std::max(bytes, parameters_.selection_scratch(length(range.size)));
  }
  void* space = scratch(round_up(static_cast<std::size_t>(bytes), sizeof(float)) / sizeof(float));
  for_each_range(group, ranges, [&](int g, const Range& range, std::size_t index) {
    const SelectionRule rule{static_cast<std::ptrdiff_t>(counts[index]), ties, skip_zero};
    const bool numbers = parameters_.select_top(
        length(range.size), rule, score[g] + length(range.begin), eligible[g] + first_word(range),
        chosen[g] + first_word(range), space);
    if (!numbers) throw InputError(score_not_a_number(g, index % ranges.size(), range));
  });
}

std::ptrdiff_t CpuOps::accumulate(const Group& group, std::size_t size, const FixedPoint& fixed,
                                  std::span<const std::uint32_t> weights, ConstValues theta,
                                  ConstBits mask, const SumView& sum) {
  const auto mask_of = [&](int g) { return mask ? mask[g] : nullptr; };
  const auto takes_part = [&](int g) {
    const auto i = static_cast<std::size_t>(g);
    return group.samples[i] != 0 && weights[i] != 0;
  };
  for (int g = 0; g < group.size(); ++g) {
    if (!takes_part(g)) continue;
    const std::ptrdiff_t found = parameters_.accumulate(
        length(size), fixed, weights[static_cast<std::size_t>(g)], theta[g], mask_of(g), sum);
    if (found < 0) continue;
    for (int h = 0; h < g; ++h) {  // all or nothing: the clients before it leave the sums again
      if (!takes_part(h)) continue;
      parameters_.retract(length(size), fixed, weights[static_cast<std::size_t>(h)], theta[h],
                          mask_of(h), sum);
    }
    return g * length(size) + found;
  }
  return -1;
}

void CpuOps::divide(std::size_t size, const FixedPoint& fixed, const SumView& sum, float* global) {
  parameters_.divide(length(size), fixed, sum, global);
}

void CpuOps::unshared(std::size_t size, const SumView& sum, Word* bits) {
  parameters_.unshared(length(size), sum.weight, bits);
}

void CpuOps::pack(const Group& group, std::size_t size, ConstValues theta, ConstBits mask,
                  Values packed, std::span<std::size_t> counts) {
  std::fill(counts.begin(), counts.end(), std::size_t{0});
  for_each_client(group, [&](int g) {
    counts[static_cast<std::size_t>(g)] =
        static_cast<std::size_t>(parameters_.pack(length(size), theta[g], mask[g], packed[g]));
  });
}

void CpuOps::unpack(const Group& group, std::size_t size, ConstValues packed, ConstBits mask,
                    Values theta) {
  for_each_client(group,
                  [&](int g) { parameters_.unpack(length(size), packed[g], mask[g], theta[g]); });
}

}  // namespace fedselect::ops::cpu
