#include "fed/mask.hpp"

#include <algorithm>

namespace fedselect {

void Mask::fill(std::vector<Word>& words, const ops::Range& range) {
  const std::size_t first = range.begin / kWordBits;
  for (std::size_t done = 0; done < range.size; done += kWordBits)
    words[first + done / kWordBits] = low_bits(std::min(range.size - done, kWordBits));
}

}  // namespace fedselect
