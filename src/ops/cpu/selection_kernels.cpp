#include "ops/cpu/selection_kernels.hpp"

#include "ops/cpu/simd.hpp"

// Selection of the k largest scores, on their bit patterns: non-negative floats order as their bits
// do as integers.
//
// 1. bracket   a sample of the scores gives two keys between which the k-th largest lies, most
// likely
// 2. scan      one pass over the scores: a score above the bracket is chosen, the keys within it
// are copied out
// 3. cutoff    radix selection among the copied keys (some per cent of all)
// 4. merge     their decisions go back to their places, word by word
//
// A sample that misses (the scan counts, so it knows) or a crowd of equal scores costs histograms
// of all scores, which narrow the bracket until the k-th largest is certain to lie within it. The
// result never depends on the sample.

namespace fedselect::ops::cpu::FEDSELECT_ISA {
namespace {

using Key = std::int32_t;  // a score's bits without the sign: -0 is 0, and a negative score counts
                           // as its magnitude

constexpr Index kBlock = 64;           // scores that one mask word covers
constexpr Index kChunk = 16;           // scores of a cache line
constexpr Key kInfinity = 0x7f800000;  // keys above are not a number
constexpr Key kNone = 0x7fffffff;      // above every key but one NaN
constexpr int kBinBits = 11;
constexpr Index kBins = Index{1} << kBinBits;
constexpr Index kTables =
    4;  // histograms side by side: equal keys in a row don't wait for each other
constexpr Index kSampleChunks = 1024;

/// Keys above `high` are chosen, keys below `low` aren't, those between are to be decided.
struct Bracket {
  Key low, high;
};

/// One call's inputs and scratch.
struct Selection {
  Index words;
  Word last_word;  ///< the bits of the last word that lie within the range
  const float* score;
  const Word* eligible;
  Index capacity;       ///< keys that a scan can copy out
  Key* keys;            ///< capacity + kBlock
  Key* spare;           ///< as keys
  std::uint32_t* bins;  ///< kTables x kBins
  Word* above;          ///< per word of the range: chosen for certain
  Word* within;         ///< to be decided
  Word* decided;        ///< one bit for each copied key

  Word eligible_word(Index w) const {
    return w + 1 == words ? eligible[w] & last_word : eligible[w];
  }
};

struct Lines {  // where each part of the scratch begins, in bytes; every part starts a cache line
  Index capacity, keys, spare, bins, above, within, decided, size;

  explicit Lines(Index range_size) {
    const Index words = ceil_div(range_size, kBlock);
    capacity = max(words * 4, Index{32768});
    if (capacity > words * kBlock) capacity = words * kBlock;
    const Index key_bytes = round_up_to((capacity + kBlock) * 4, 64);
    const Index word_bytes = round_up_to(words * 8, 64);
    keys = 0;
    spare = keys + key_bytes;
    bins = spare + key_bytes;
    above = bins + kTables * kBins * 4;
    within = above + word_bytes;
    decided = within + word_bytes;
    size = decided + round_up_to((ceil_div(capacity, kBlock) + 2) * 8, 64);
  }
};

inline Index popcount(Word w) { return __builtin_popcountll(w); }
inline Word low_bits(Index n) { return n >= kBlock ? ~Word{0} : (Word{1} << n) - 1; }

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

/// A chunk of 16 scores against a bracket; bit i belongs to score i.
struct Chunk {
  unsigned above, within, nan;
};

/// Compares the scores of the lanes set in `lanes` with the bracket. With `copies`, the keys within
/// go to `out`, behind whose last key 16 more places may be overwritten.
template <bool copies>
inline Chunk compare_chunk(const float* score, unsigned lanes, Bracket bracket, Key* out) {
#if defined(__AVX512F__)
  const auto k = static_cast<__mmask16>(lanes);
  const __m512i key = _mm512_and_si512(_mm512_loadu_si512(score), _mm512_set1_epi32(0x7fffffff));
  const __mmask16 above = _mm512_mask_cmpgt_epi32_mask(k, key, _mm512_set1_epi32(bracket.high));
  const __mmask16 reach = _mm512_mask_cmpge_epi32_mask(k, key, _mm512_set1_epi32(bracket.low));
  const __mmask16 nan = _mm512_mask_cmpgt_epi32_mask(k, key, _mm512_set1_epi32(kInfinity));
  const auto within = static_cast<__mmask16>(reach & ~above);
  if constexpr (copies) _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(within, key));
  return {above, within, nan};
#elif defined(__AVX2__)
  Chunk chunk{0, 0, 0};
  for (int half = 0; half < 2; ++half) {
    const unsigned k = (lanes >> (8 * half)) & 0xff;
    const __m256i key =
        _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(score + half * 8)),
                         _mm256_set1_epi32(0x7fffffff));
    const auto bits = [](__m256i mask) {
      return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(mask)));
    };
    const unsigned above = k & bits(_mm256_cmpgt_epi32(key, _mm256_set1_epi32(bracket.high)));
    const unsigned below = bits(_mm256_cmpgt_epi32(_mm256_set1_epi32(bracket.low), key));
    const unsigned nan = k & bits(_mm256_cmpgt_epi32(key, _mm256_set1_epi32(kInfinity)));
    const unsigned within = k & ~below & ~above;
    if constexpr (copies) {
      // The lane numbers 0..7, a byte each, squeezed to those within.
      const Word bytes = _pdep_u64(within, 0x0101010101010101U) * 0xff;
      const Word order = _pext_u64(0x0706050403020100U, bytes);
      const __m256i lane =
          _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<std::int64_t>(order)));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(key, lane));
      out += popcount(within);
    }
    chunk.above |= above << (8 * half);
    chunk.within |= within << (8 * half);
    chunk.nan |= nan << (8 * half);
  }
  return chunk;
#else
  Chunk chunk{0, 0, 0};
  for (Index i = 0; i < kChunk; ++i) {
    std::int32_t bits;
    __builtin_memcpy(&bits, score + i, sizeof bits);
    const Key key = bits & 0x7fffffff;
    const unsigned lane = (lanes >> i) & 1;
    const unsigned above = lane & static_cast<unsigned>(key > bracket.high);
    const unsigned within = lane & static_cast<unsigned>(key >= bracket.low) & ~above;
    if constexpr (copies) {
      *out = key;
      out += within;
    }
    chunk.above |= above << i;
    chunk.within |= within << i;
    chunk.nan |= (lane & static_cast<unsigned>(key > kInfinity)) << i;
  }
  return chunk;
#endif
}

struct BlockMasks {
  Word above, within, nan;
};

/// The four chunks of a word.
template <bool copies>
inline BlockMasks compare_block(const float* score, Word eligible, Bracket bracket, Key* out) {
  BlockMasks masks{0, 0, 0};
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const auto lanes = static_cast<unsigned>(eligible >> (16 * c)) & 0xffff;
    const Chunk chunk = compare_chunk<copies>(score + c * kChunk, lanes, bracket, out);
    if constexpr (copies) out += __builtin_popcount(chunk.within);
    masks.above |= static_cast<Word>(chunk.above) << (16 * c);
    masks.within |= static_cast<Word>(chunk.within) << (16 * c);
    masks.nan |= static_cast<Word>(chunk.nan) << (16 * c);
  }
  return masks;
}

struct Counts {
  Index above = 0, within = 0;
  bool nan = false, overflow = false;
};

/// Fills `above` and `within`, and `keys` with `copies`; stops where the keys overflow or a score
/// is not a number.
// Limited by memory: 4 bytes and 1/8 a score, read once.
template <bool copies>
Counts scan(const Selection& s, Bracket bracket) {
  Counts counts;
  for (Index w = 0; w < s.words; ++w) {
    const Word eligible = s.eligible_word(w);
    if (eligible == 0) {
      s.above[w] = s.within[w] = 0;
      continue;
    }
    const BlockMasks masks = compare_block<copies>(s.score + w * kBlock, eligible, bracket,
                                                   copies ? s.keys + counts.within : nullptr);
    s.above[w] = masks.above;
    s.within[w] = masks.within;
    counts.above += popcount(masks.above);
    counts.within += popcount(masks.within);
    if (masks.nan != 0) {
      counts.nan = true;
      break;
    }
    if (copies && counts.within > s.capacity) {
      counts.overflow = true;
      break;
    }
  }
  return counts;
}

void clear_bins(const Selection& s) {
  for (Index i = 0; i < kTables * kBins; ++i) s.bins[i] = 0;
}

/// Counts n keys, all at least `low`, by their digit (key - low) >> shift.
inline void count_digits(const Selection& s, const Key* keys, Index n, Key low, int shift) {
  std::uint32_t* bins = s.bins;
  Index i = 0;
  for (; i + kTables <= n; i += kTables) {
#pragma GCC unroll 4
    for (Index t = 0; t < kTables; ++t) ++bins[t * kBins + ((keys[i + t] - low) >> shift)];
  }
  for (; i < n; ++i) ++bins[(keys[i] - low) >> shift];
}

/// The digit's shift, for keys in the bracket to fall into kBins bins.
inline int digit_shift(Bracket bracket) {
  const auto width = static_cast<unsigned>(bracket.high - bracket.low);
  const int bits = width == 0 ? 0 : 32 - __builtin_clz(width);
  return bits > kBinBits ? bits - kBinBits : 0;
}

struct Bin {
  Index above, count;  ///< keys in higher bins, keys in it
  Bracket bracket;     ///< its keys
};

/// The bin that holds the rank-th largest (from 1) of the counted keys; rank is at most their
/// number.
Bin find_bin(const Selection& s, Bracket bracket, int shift, Index rank) {
  std::uint32_t* bins = s.bins;
  for (Index i = 0; i < kBins; ++i) {
    bins[i] += bins[kBins + i] + bins[2 * kBins + i] + bins[3 * kBins + i];
  }
  Index above = 0;
  Index bin = (bracket.high - bracket.low) >> shift;
  while (above + bins[bin] < rank) above += bins[bin--];
  const auto first = static_cast<Key>(bin << shift);
  const Key last = first + static_cast<Key>((Index{1} << shift) - 1);
  return {
      above,
      bins[bin],
      {bracket.low + first, last > bracket.high - bracket.low ? bracket.high : bracket.low + last}};
}

/// Copies the keys in the bracket to `out`, which may be `keys`. Returns how many.
Index filter(const Key* keys, Index n, Bracket bracket, Key* out) {
  Index kept = 0;
  for (Index i = 0; i < n; i += kChunk) {
    const auto lanes = static_cast<unsigned>(low_bits(min(n - i, kChunk)));
    float scores[kChunk];
    __builtin_memcpy(scores, keys + i, sizeof scores);
    kept += __builtin_popcount(compare_chunk<true>(scores, lanes, bracket, out + kept).within);
  }
  return kept;
}

struct Cutoff {
  Key key;      ///< the rank-th largest
  Index above;  ///< keys greater than it
};

/// The rank-th largest of n keys that lie in the bracket; overwrites `spare`.
Cutoff select_key(const Selection& s, const Key* keys, Index n, Bracket bracket, Index rank) {
  Index above = 0;
  while (bracket.low < bracket.high) {
    const int shift = digit_shift(bracket);
    clear_bins(s);
    count_digits(s, keys, n, bracket.low, shift);
    const Bin bin = find_bin(s, bracket, shift, rank - above);
    above += bin.above;
    bracket = bin.bracket;
    if (bracket.low == bracket.high) break;
    n = filter(keys, n, bracket, s.spare);
    keys = s.spare;
  }
  return {bracket.low, above};
}

/// A bracket that probably holds the rank-th largest of the `population` eligible scores.
/// Chunks are drawn at places that no stride of a tensor can hit again and again.
Bracket sampled_bracket(const Selection& s, Index rank, Index population, Key least) {
  const Index chunks = s.words * 4;
  const Index step = max(chunks / kSampleChunks, Index{1});
  Index n = 0;
  std::uint32_t jitter = 1;
  for (Index first = 0; first + step <= chunks && n + kChunk <= s.capacity; first += step) {
    jitter = jitter * 1664525U + 1013904223U;
    const Index c = first + static_cast<Index>((jitter >> 8) % static_cast<std::uint32_t>(step));
    const auto lanes = static_cast<unsigned>(s.eligible_word(c / 4) >> (16 * (c % 4))) & 0xffff;
    if (lanes == 0) continue;
    n += __builtin_popcount(
        compare_chunk<true>(s.score + c * kChunk, lanes, {0, kInfinity}, s.keys + n).within);
  }
  const double share = static_cast<double>(rank) / static_cast<double>(population);
  const double expected = share * static_cast<double>(n);
  // Four standard deviations of a sample without correlation; neighbours may well be correlated.
  const auto margin = static_cast<Index>(4 * __builtin_sqrt(expected * (1 - share))) + 4;
  const Index middle = static_cast<Index>(expected);
  Bracket bracket{least, kInfinity};
  if (middle - margin > 0) {
    bracket.high = select_key(s, s.keys, n, {0, kInfinity}, middle - margin).key;
  }
  if (middle + margin <= n) {
    bracket.low = select_key(s, s.keys, n, {0, kInfinity}, middle + margin).key;
  }
  if (bracket.low < least) bracket.low = least;
  if (bracket.high < bracket.low) bracket.high = bracket.low;
  return bracket;
}

/// A bracket that holds the rank-th largest eligible score of at least `least`, and either a single
/// key or no more keys than fit; all of these scores if there are fewer than `rank`.
Bracket exact_bracket(const Selection& s, Index rank, Key least) {
  Bracket bracket{least, kInfinity};
  Key found[kBlock + kChunk];
  Index above = 0;
  while (bracket.low < bracket.high) {
    const int shift = digit_shift(bracket);
    clear_bins(s);
    Index total = 0;
    for (Index w = 0; w < s.words; ++w) {
      const Word eligible = s.eligible_word(w);
      if (eligible == 0) continue;
      const BlockMasks masks = compare_block<true>(s.score + w * kBlock, eligible, bracket, found);
      const Index n = popcount(masks.within);
      count_digits(s, found, n, bracket.low, shift);
      total += n;
    }
    if (above + total < rank) return {least, least - 1};
    const Bin bin = find_bin(s, bracket, shift, rank - above);
    above += bin.above;
    bracket = bin.bracket;
    if (bin.count <= s.capacity) break;
  }
  return bracket;
}

/// Chosen <- above, and the first `count` of those within.
void merge_first(const Selection& s, Index count, Word* chosen) {
  for (Index w = 0; w < s.words; ++w) {
    const Word within = s.within[w];
    const Index n = popcount(within);
    const Index taken = min(n, count);
    count -= taken;
    chosen[w] = s.above[w] | (taken == n ? within : deposit(low_bits(taken), within));
  }
}

/// Chosen <- above, and those within whose key is greater than the cutoff, and the first `equals`
/// of those that are equal.
void merge_keys(const Selection& s, Index n, Key cutoff, Index equals, Word* chosen) {
  for (Index i = 0; i < n; i += kBlock) {
    float scores[kBlock];
    __builtin_memcpy(scores, s.keys + i, sizeof scores);
    const BlockMasks masks =
        compare_block<false>(scores, low_bits(n - i), {cutoff, cutoff}, nullptr);
    const Index ties = popcount(masks.within);
    const Index taken = min(ties, equals);
    equals -= taken;
    s.decided[i / kBlock] =
        masks.above | (taken == ties ? masks.within : deposit(low_bits(taken), masks.within));
  }
  Index next = 0;
  for (Index w = 0; w < s.words; ++w) {
    const Word within = s.within[w];
    const Word* from = s.decided + next / kBlock;
    const auto offset = static_cast<unsigned>(next % kBlock);
    const Word bits = (from[0] >> offset) | ((from[1] << 1) << (63 - offset));
    chosen[w] = s.above[w] | deposit(bits, within);
    next += popcount(within);
  }
}

}  // namespace

std::ptrdiff_t selection_scratch(Index size) { return Lines(size).size; }

bool select_top(Index size, const SelectionRule& rule, const float* score, const Word* eligible,
                Word* chosen, void* scratch) {
  if (size == 0) return true;
  const Lines lines(size);
  auto* base = static_cast<unsigned char*>(scratch);
  const Selection s{
      .words = ceil_div(size, kBlock),
      .last_word = low_bits(size - (ceil_div(size, kBlock) - 1) * kBlock),
      .score = score,
      .eligible = eligible,
      .capacity = lines.capacity,
      .keys = reinterpret_cast<Key*>(base + lines.keys),
      .spare = reinterpret_cast<Key*>(base + lines.spare),
      .bins = reinterpret_cast<std::uint32_t*>(base + lines.bins),
      .above = reinterpret_cast<Word*>(base + lines.above),
      .within = reinterpret_cast<Word*>(base + lines.within),
      .decided = reinterpret_cast<Word*>(base + lines.decided),
  };
  Index population = 0;
  for (Index w = 0; w < s.words; ++w) population += popcount(s.eligible_word(w));

  const Key least = rule.skip_zero ? 1 : 0;  // the least key that may be taken
  const Index rank = rule.count;
  const bool none = rank <= 0;
  Bracket bracket;
  if (none) {
    bracket = {kNone, kNone};
  } else if (rank >= population) {
    bracket = {least, least - 1};
  } else if (population <= s.capacity) {
    bracket = {least, kInfinity};
  } else {
    bracket = sampled_bracket(s, rank, population, least);
  }

  Counts counts;
  for (bool certain = false;; certain = true) {
    const bool copies = bracket.low < bracket.high;
    counts = copies ? scan<true>(s, bracket) : scan<false>(s, bracket);
    if (counts.nan) return false;
    const bool holds = !counts.overflow && (none || counts.above <= rank) &&
                       (bracket.low <= least || counts.above + counts.within >= rank);
    if (none || holds || certain || rank >= population) break;
    bracket = exact_bracket(s, rank, least);
  }

  const Index wanted = none ? 0 : rank - counts.above;
  const bool all_ties = rule.ties == Ties::threshold;
  if (wanted <= 0) {
    merge_first(s, 0, chosen);
  } else if (wanted >= counts.within) {
    merge_first(s, counts.within, chosen);
  } else if (bracket.low == bracket.high) {
    merge_first(s, all_ties ? counts.within : wanted, chosen);
  } else {
    const Cutoff cutoff = select_key(s, s.keys, counts.within, bracket, wanted);
    merge_keys(s, counts.within, cutoff.key, all_ties ? counts.within : wanted - cutoff.above,
               chosen);
  }
  return true;
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
