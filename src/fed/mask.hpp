#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bits.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// Which parameters of a client are personal, at rest on the host: one bit per value of the padded
/// vector, 1 = personal.
///
/// Statistics have their bits behind those of the parameters. Padding bits are 0. Immutable once
/// made, so clients with the same rule share one object.
class Mask {
 public:
  /// Words as the ops leave them; words.size() == layout.words(). `is_common`: many clients may
  /// have this one.
  explicit Mask(std::vector<Word> words, bool is_common = false)
      : words_(std::move(words)), is_common_(is_common) {}

  std::span<const Word> words() const { return words_; }
  bool is_common() const { return is_common_; }
  /// Number of personal values, statistics among them.
  std::size_t count() const { return count_bits(words_.data(), words_.size() * kWordBits); }

  /// Personal: the parameters and statistics for which `rule(tensor)` holds, whole tensors.
  template <class Rule>
  static std::shared_ptr<const Mask> of_tensors(const ParameterLayout& layout, const Rule& rule) {
    std::vector<Word> words(layout.words(), 0);
    for (const auto* tensors : {&layout.tensors(), &layout.statistics()})
      for (const Tensor& tensor : *tensors)
        if (rule(tensor)) fill(words, tensor.range);
    return std::make_shared<const Mask>(std::move(words), true);
  }

 private:
  static void fill(std::vector<Word>& words, const ops::Range& range);

  std::vector<Word> words_;
  bool is_common_;
};

/// A mask that may be shared between clients; null: nothing is personal.
using MaskPtr = std::shared_ptr<const Mask>;

/// How many of the first n bits of two masks differ.
std::int64_t count_differences(const MaskPtr& a, const MaskPtr& b, std::size_t n);

}  // namespace fedselect
