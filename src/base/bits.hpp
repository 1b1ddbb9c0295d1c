#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace fedselect {

/// Bits are kept in 64-bit words, least significant first: bit j is word j / 64, position j % 64.
using Word = std::uint64_t;
inline constexpr std::size_t kWordBits = 64;
inline constexpr Word kAllBits = ~Word{0};

inline constexpr std::size_t kByteBits = 8;

/// Bytes that hold n bits.
constexpr std::size_t bytes_for(std::size_t n) { return (n + kByteBits - 1) / kByteBits; }

/// Words that hold n bits.
constexpr std::size_t words_for(std::size_t n) { return (n + kWordBits - 1) / kWordBits; }

constexpr bool test_bit(const Word* words, std::size_t j) {
  return ((words[j / kWordBits] >> (j % kWordBits)) & 1U) != 0;
}

constexpr void set_bit(Word* words, std::size_t j) {
  words[j / kWordBits] |= Word{1} << (j % kWordBits);
}

/// A word whose lowest n bits are set, n <= 64.
constexpr Word low_bits(std::size_t n) { return n >= kWordBits ? kAllBits : (Word{1} << n) - 1; }

/// Number of set bits among the first n. Bits past n in the last word are ignored.
constexpr std::size_t count_bits(const Word* words, std::size_t n) {
  std::size_t count = 0;
  for (std::size_t w = 0; w < n / kWordBits; ++w)
    count += static_cast<std::size_t>(std::popcount(words[w]));
  if (n % kWordBits != 0)
    count +=
        static_cast<std::size_t>(std::popcount(words[n / kWordBits] & low_bits(n % kWordBits)));
  return count;
}

}  // namespace fedselect
