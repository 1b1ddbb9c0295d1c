#include "base/bits.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace fedselect {
namespace {

TEST(Bits, WordsHoldTheBits) {
  EXPECT_EQ(words_for(0), 0U);
  EXPECT_EQ(words_for(1), 1U);
  EXPECT_EQ(words_for(64), 1U);
  EXPECT_EQ(words_for(65), 2U);
}

TEST(Bits, LowBits) {
  EXPECT_EQ(low_bits(0), 0U);
  EXPECT_EQ(low_bits(1), 1U);
  EXPECT_EQ(low_bits(63), ~Word{0} >> 1U);
  EXPECT_EQ(low_bits(64), ~Word{0});
}

TEST(Bits, SetBitsAreFoundAndNoOthers) {
  constexpr std::size_t kBits = 200;
  std::vector<Word> words(words_for(kBits));
  for (const std::size_t j : {0, 63, 64, 127, 199}) set_bit(words.data(), j);
  for (std::size_t j = 0; j < kBits; ++j)
    EXPECT_EQ(test_bit(words.data(), j), j == 0 || j == 63 || j == 64 || j == 127 || j == 199) << j;
}

TEST(Bits, CountIgnoresWhatLiesPastTheEnd) {
  const std::vector<Word> words(3, kAllBits);
  for (const std::size_t n : {0U, 1U, 31U, 32U, 33U, 63U, 64U, 65U, 128U, 191U, 192U})
    EXPECT_EQ(count_bits(words.data(), n), n);
  EXPECT_EQ(count_bits(nullptr, 0), 0U);
}

}  // namespace
}  // namespace fedselect
