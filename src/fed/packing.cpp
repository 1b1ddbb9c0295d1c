#include "fed/packing.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bits.hpp"

namespace fedselect {

namespace {

/// Appends the first n bits of `from` behind the `at` bits that `to` holds.
void append_bits(std::vector<Word>& to, std::size_t at, const Word* from, std::size_t n) {
  for (std::size_t done = 0; done < n; done += kWordBits, ++from) {
    const std::size_t bits = std::min(kWordBits, n - done);
    const Word word = *from & low_bits(bits);
    const std::size_t position = (at + done) % kWordBits;
    Word* target = to.data() + (at + done) / kWordBits;
    *target |= word << position;
    if (position + bits > kWordBits) target[1] |= word >> (kWordBits - position);
  }
}

}  // namespace

std::vector<std::uint8_t> pack_mask(const ParameterLayout& layout, std::span<const Word> words) {
  static_assert(std::endian::native == std::endian::little, "bytes of a word ascend with its bits");
  std::vector<Word> packed(words_for(layout.size()), 0);
  std::size_t at = 0;
  for (const ops::Range& range : layout.ranges()) {
    append_bits(packed, at, words.data() + range.begin / kWordBits, range.size);
    at += range.size;
  }
  std::vector<std::uint8_t> row(bytes_for(layout.size()));
  std::memcpy(row.data(), packed.data(), row.size());
  return row;
}

std::vector<float> pack_model(const ParameterLayout& layout, std::span<const float> values) {
  std::vector<float> packed;
  packed.reserve(layout.size() + layout.statistic_size());
  for (const auto* tensors : {&layout.tensors(), &layout.statistics()})
    for (const Tensor& tensor : *tensors) {
      const auto own = values.subspan(tensor.range.begin, tensor.size());
      packed.insert(packed.end(), own.begin(), own.end());
    }
  return packed;
}

}  // namespace fedselect
