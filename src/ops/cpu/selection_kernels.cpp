#include "ops/cpu/selection_kernels.hpp"

#include "ops/cpu/score_keys.hpp"

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

constexpr int kBinBits = 11;
constexpr Index kBins = Index{1} << kBinBits;
constexpr Index kTables =
    4;  // histograms side by side: equal keys in a row don't wait for each other
constexpr Index kSampleChunks = 1024;

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

/// Whether an eligible score is not a number; asked only where some score is.
bool finds_nan(const Selection& s) {
  const Keys infinity(kInfiniteKey);
  for (Index w = 0; w < s.words; ++w) {
    Word nan = 0;
    for (Index i = 0; i < kBlock; i += Keys::kCount) {
      nan |= static_cast<Word>(Keys(s.score + w * kBlock + i).above(infinity)) << i;
    }
    if ((nan & s.eligible_word(w)) != 0) return true;
  }
  return false;
}

struct Counts {
  Index above = 0, within = 0;
  bool nan = false, overflow = false;
};

/// Fills `above` and `within`, and `keys` with `copies`; stops where the keys overflow.
// Limited by memory: 4 bytes and 1/8 a score, read once. Measured on 1.6 million scores in L3: 155
// us of the selection's 230, 40 % of the bandwidth (copying the keys takes 60 us of them); from
// memory the selection takes 390 us, 46 %.
template <bool copies>
Counts scan(const Selection& s, Bracket bracket) {
  Counts counts;
  Comparison comparison(bracket);
  for (Index w = 0; w < s.words; ++w) {
    const Word eligible = s.eligible_word(w);
    if (eligible == 0) {
      s.above[w] = s.within[w] = 0;
      continue;
    }
    const float* scores = s.score + w * kBlock;
    const BracketMasks masks = comparison.compare(scores, eligible);
    s.above[w] = masks.above;
    s.within[w] = masks.within;
    counts.above += popcount(masks.above);
    counts.within +=
        copies ? copy_keys(scores, masks.within, s.keys + counts.within) : popcount(masks.within);
    if (copies && counts.within > s.capacity) {
      counts.overflow = true;
      break;
    }
  }
  counts.nan = comparison.saw_nan() && finds_nan(s);
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
  Comparison comparison(bracket);
  Index kept = 0;
  for (Index i = 0; i < n; i += kBlock) {
    kept += copy_keys(keys + i, comparison.compare(keys + i, low_bits(n - i)).within, out + kept);
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
  Comparison comparison({0, kInfiniteKey});
  for (Index first = 0; first + step <= chunks && n + kChunk <= s.capacity; first += step) {
    jitter = jitter * 1664525U + 1013904223U;
    const Index c = first + static_cast<Index>((jitter >> 8) % static_cast<std::uint32_t>(step));
    const Word lanes = (s.eligible_word(c / 4) >> (kChunk * (c % 4))) & low_bits(kChunk);
    if (lanes == 0) continue;
    const float* scores = s.score + c * kChunk;
    n += copy_keys<kChunk>(scores, comparison.compare<kChunk>(scores, lanes).within, s.keys + n);
  }
  const double share = static_cast<double>(rank) / static_cast<double>(population);
  const double expected = share * static_cast<double>(n);
  // Four standard deviations of a sample without correlation; neighbours may well be correlated.
  const auto margin = static_cast<Index>(4 * __builtin_sqrt(expected * (1 - share))) + 4;
  const Index middle = static_cast<Index>(expected);
  Bracket bracket{least, kInfiniteKey};
  if (middle - margin > 0) {
    bracket.high = select_key(s, s.keys, n, {0, kInfiniteKey}, middle - margin).key;
  }
  if (middle + margin <= n) {
    bracket.low = select_key(s, s.keys, n, {0, kInfiniteKey}, middle + margin).key;
  }
  if (bracket.low < least) bracket.low = least;
  if (bracket.high < bracket.low) bracket.high = bracket.low;
  return bracket;
}

/// A bracket that holds the rank-th largest eligible score of at least `least`, and either a single
/// key or no more keys than fit; all of these scores if there are fewer than `rank`.
Bracket exact_bracket(const Selection& s, Index rank, Key least) {
  Bracket bracket{least, kInfiniteKey};
  Key found[kBlock + kChunk];
  Index above = 0;
  while (bracket.low < bracket.high) {
    const int shift = digit_shift(bracket);
    clear_bins(s);
    Index total = 0;
    Comparison comparison(bracket);
    for (Index w = 0; w < s.words; ++w) {
      const Word eligible = s.eligible_word(w);
      if (eligible == 0) continue;
      const float* scores = s.score + w * kBlock;
      const Index n = copy_keys(scores, comparison.compare(scores, eligible).within, found);
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
  Comparison comparison({cutoff, cutoff});
  for (Index i = 0; i < n; i += kBlock) {
    const BracketMasks masks = comparison.compare(s.keys + i, low_bits(n - i));
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
    bracket = {kLargestKey, kLargestKey};
  } else if (rank >= population) {
    bracket = {least, least - 1};
  } else if (population <= s.capacity) {
    bracket = {least, kInfiniteKey};
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
