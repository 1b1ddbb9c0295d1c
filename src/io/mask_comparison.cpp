#include "io/mask_comparison.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

namespace fedselect {

namespace {

/// Number of indices in [begin, end) at which both have a one.
std::int64_t count_common(const std::vector<Word>& a, const std::vector<Word>& b, std::size_t begin,
                          std::size_t end) {
  std::int64_t count = 0;
  for (std::size_t w = begin / kWordBits; w * kWordBits < end; ++w) {
    const std::size_t first = w * kWordBits;
    Word both = a[w] & b[w];
    if (first < begin) both &= ~low_bits(begin - first);
    both &= low_bits(end - first);
    count += std::popcount(both);
  }
  return count;
}

float ratio(double part, double whole) {
  return whole > 0 ? static_cast<float>(part / whole) : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

MaskComparison::MaskComparison(const ParameterLayout& layout, std::size_t clients)
    : clients_(clients), hamming_(clients * clients) {
  for (const Tensor& tensor : layout.tensors()) sizes_.push_back(tensor.size());
  iou_.resize(sizes_.size() * clients * clients);
  chance_.resize(iou_.size());
}

void MaskComparison::add(std::span<const std::byte> row) {
  std::vector<Word> words(words_for(row.size() * 8), 0);
  std::memcpy(words.data(), row.data(), row.size());
  std::vector<std::int64_t> counts;
  std::size_t begin = 0;
  for (const std::size_t size : sizes_) {
    counts.push_back(count_common(words, words, begin, begin + size));
    begin += size;
  }
  masks_.push_back(std::move(words));
  counts_.push_back(std::move(counts));
  for (std::size_t other = 0; other < masks_.size(); ++other) compare(other, masks_.size() - 1);
}

void MaskComparison::compare(std::size_t a, std::size_t b) {
  std::size_t begin = 0;
  std::int64_t differ = 0;
  for (std::size_t t = 0; t < sizes_.size(); ++t) {
    const std::int64_t common = count_common(masks_[a], masks_[b], begin, begin + sizes_[t]);
    begin += sizes_[t];
    const std::int64_t ones = counts_[a][t] + counts_[b][t];
    differ += ones - 2 * common;
    const auto size = static_cast<double>(sizes_[t]);
    const double f = static_cast<double>(counts_[a][t]) / size;
    const double g = static_cast<double>(counts_[b][t]) / size;
    const std::size_t plane = t * clients_ * clients_;
    for (const std::size_t at : {a * clients_ + b, b * clients_ + a}) {
      iou_[plane + at] = ratio(static_cast<double>(common), static_cast<double>(ones - common));
      chance_[plane + at] = ratio(f * g, f + g - f * g);
    }
  }
  hamming_[a * clients_ + b] = hamming_[b * clients_ + a] = differ;
}

}  // namespace fedselect
