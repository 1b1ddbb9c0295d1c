#pragma once

#include "base/bits.hpp"
#include "ops/cpu/simd.hpp"

#if defined(__SSE2__) && !defined(__AVX2__)
#include <emmintrin.h>
#endif

/// Scores as integers, and their comparison with a bracket: the inner loop of selection.
///
/// A key is a score's bits without the sign. Keys order as scores do; -0 is 0, and a negative score
/// counts as its magnitude.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

using Key = std::int32_t;

inline constexpr Index kBlock = 64;              // scores that one mask word covers
inline constexpr Index kChunk = 16;              // scores of a cache line
inline constexpr Key kInfiniteKey = 0x7f800000;  // keys above are not a number
inline constexpr Key kLargestKey = 0x7fffffff;

/// Keys above `high` are chosen, keys below `low` aren't, those between are to be decided.
struct Bracket {
  Key low, high;
};

/// Bit i belongs to score i.
struct BracketMasks {
  Word above, within;
};

inline Index popcount(Word w) { return __builtin_popcountll(w); }
inline Word low_bits(Index n) { return n >= kBlock ? ~Word{0} : (Word{1} << n) - 1; }

/// The place of the lowest set bit; some place of the word where there is none.
inline Index lowest_place(Word w) {
#if defined(__BMI__)
  return static_cast<Index>(_tzcnt_u64(w) % kBlock);
#else
  return w == 0 ? 0 : __builtin_ctzll(w);
#endif
}

/// Puts the low bits of `bits` at the places of the set bits of `places`, in order.
inline Word deposit(Word bits, Word places) {
#if defined(__BMI2__)
  return _pdep_u64(bits, places);
#else
  Word out = 0;
  for (; places != 0; places &= places - 1, bits >>= 1) {
    if ((bits & 1) != 0) out |= places & -places;
  }
  return out;
#endif
}

/// As many keys as a vector register holds.
struct Keys {
#if defined(__AVX512F__)
  static constexpr int kCount = 16;
  __m512i lanes;

  explicit Keys(Key key) : lanes(_mm512_set1_epi32(key)) {}
  explicit Keys(const void* scores)
      : lanes(_mm512_and_si512(_mm512_loadu_si512(scores), _mm512_set1_epi32(kLargestKey))) {}
  unsigned above(const Keys& other) const {
    // GCC 12 may spill the mask as 16 bits and reload it as 64 of its word: the move is spelled
    // out.
    const __mmask16 mask = _mm512_cmpgt_epi32_mask(lanes, other.lanes);
    unsigned bits;
    asm("kmovw\t%1, %0" : "=r"(bits) : "k"(mask));
    return bits;
  }
  /// most <- the greater of both, lane by lane.
  void mark(Keys& most) const {  // GCC 12 warns of its own _mm512_max_epi32
    const auto a = reinterpret_cast<IntVec>(lanes);
    const auto b = reinterpret_cast<IntVec>(most.lanes);
    most.lanes = reinterpret_cast<__m512i>(a > b ? a : b);
  }
  /// Copies the lanes in `bits` to out; 16 places may be overwritten.
  void compress(unsigned bits, Key* out) const {
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), lanes));
  }
#elif defined(__AVX2__)
  static constexpr int kCount = 8;
  __m256i lanes;

  explicit Keys(Key key) : lanes(_mm256_set1_epi32(key)) {}
  explicit Keys(const void* scores)
      : lanes(_mm256_and_si256(_mm256_loadu_si256(static_cast<const __m256i*>(scores)),
                               _mm256_set1_epi32(kLargestKey))) {}
  unsigned above(const Keys& other) const {
    return static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, other.lanes))));
  }
  void mark(Keys& most) const { most.lanes = _mm256_max_epi32(most.lanes, lanes); }
  void compress(unsigned bits, Key* out) const {
    // The lane numbers 0..7, a byte each, squeezed to those wanted.
    const Word bytes = _pdep_u64(bits, 0x0101010101010101U) * 0xff;
    const Word order = _pext_u64(0x0706050403020100U, bytes);
    const __m256i lane = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<std::int64_t>(order)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(lanes, lane));
  }
#elif defined(__SSE2__)
  static constexpr int kCount = 4;
  __m128i lanes;

  explicit Keys(Key key) : lanes(_mm_set1_epi32(key)) {}
  explicit Keys(const void* scores)
      : lanes(_mm_and_si128(_mm_loadu_si128(static_cast<const __m128i*>(scores)),
                            _mm_set1_epi32(kLargestKey))) {}
  unsigned above(const Keys& other) const {
    return static_cast<unsigned>(
        _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpgt_epi32(lanes, other.lanes))));
  }
  void mark(Keys& most) const {
    const __m128i more = _mm_cmpgt_epi32(lanes, most.lanes);
    most.lanes = _mm_or_si128(_mm_and_si128(more, lanes), _mm_andnot_si128(more, most.lanes));
  }
  void compress(unsigned bits, Key* out) const {
    Key keys[kCount];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(keys), lanes);
    for (; bits != 0; bits &= bits - 1) *out++ = keys[__builtin_ctz(bits)];
  }
#else
  static constexpr int kCount = 4;
  Key lanes[kCount];

  explicit Keys(Key key) : lanes{key, key, key, key} {}
  explicit Keys(const void* scores) {
    __builtin_memcpy(lanes, scores, sizeof lanes);
    for (Key& lane : lanes) lane &= kLargestKey;
  }
  unsigned above(const Keys& other) const {
    unsigned bits = 0;
    for (int i = 0; i < kCount; ++i) {
      bits |= static_cast<unsigned>(lanes[i] > other.lanes[i]) << i;
    }
    return bits;
  }
  void mark(Keys& most) const {
    for (int i = 0; i < kCount; ++i) {
      if (lanes[i] > most.lanes[i]) most.lanes[i] = lanes[i];
    }
  }
  void compress(unsigned bits, Key* out) const {
    for (; bits != 0; bits &= bits - 1) *out++ = lanes[__builtin_ctz(bits)];
  }
#endif
};

/// A bracket, in registers; `most` holds the largest keys seen, in lanes that were eligible or not.
struct Comparison {
  Keys below, high, most{Key{0}};

  explicit Comparison(Bracket bracket) : below(bracket.low - 1), high(bracket.high) {}

  /// Whether a score that compare() saw was not a number.
  bool saw_nan() const { return most.above(Keys(kInfiniteKey)) != 0; }

  /// Compares the first `count` scores, of which the bits of `eligible` say which are.
  template <Index count = kBlock>
  BracketMasks compare(const void* scores, Word eligible) {
    Word above = 0;
    Word reach = 0;
#pragma GCC unroll 16
    for (Index i = 0; i < count; i += Keys::kCount) {
      const Keys keys(static_cast<const Key*>(scores) + i);
      keys.mark(most);
      above |= static_cast<Word>(keys.above(high)) << i;
      reach |= static_cast<Word>(keys.above(below)) << i;
    }
    return {above & eligible, reach & ~above & eligible};
  }
};

/// Copies the keys of the scores that have a bit in `wanted` to `out`, behind whose last key 16
/// more places may be overwritten. Returns how many.
template <Index count = kBlock>
inline Index copy_keys(const void* scores, Word wanted, Key* out) {
  constexpr Index kFew = 4;
  const Index n = popcount(wanted);
  if (n <= kFew) {  // what a scan meets almost always, and without a loop of unknown length
#pragma GCC unroll 4
    for (Index i = 0; i < kFew; ++i, wanted &= wanted - 1) {
      Key bits;
      __builtin_memcpy(&bits, static_cast<const Key*>(scores) + lowest_place(wanted), sizeof bits);
      out[i] = bits & kLargestKey;
    }
    return n;
  }
#pragma GCC unroll 16
  for (Index i = 0; i < count; i += Keys::kCount) {
    const auto bits = static_cast<unsigned>((wanted >> i) & low_bits(Keys::kCount));
    Keys(static_cast<const Key*>(scores) + i).compress(bits, out);
    out += __builtin_popcount(bits);
  }
  return n;
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
