#include "fed/mask.hpp"

#include <algorithm>
#include <bit>

namespace fedselect {

void Mask::fill(std::vector<Word>& words, const ops::Range& range) {
  const std::size_t first = range.begin / kWordBits;
  for (std::size_t done = 0; done < range.size; done += kWordBits)
    words[first + done / kWordBits] = low_bits(std::min(range.size - done, kWordBits));
}

std::int64_t count_differences(const MaskPtr& a, const MaskPtr& b, std::size_t n) {
  if (a == b) return 0;
  std::int64_t count = 0;
  for (std::size_t done = 0; done < n; done += kWordBits) {
    const std::size_t w = done / kWordBits;
    const Word differ = (a ? a->words()[w] : 0) ^ (b ? b->words()[w] : 0);
    count += std::popcount(differ & low_bits(n - done));
  }
  return count;
}

}  // namespace fedselect
