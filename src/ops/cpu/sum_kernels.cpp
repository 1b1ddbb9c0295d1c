#include "ops/cpu/sum_kernels.hpp"

#include "ops/cpu/simd.hpp"

// Exact sums in fixed point. All arithmetic is on integers modulo 2^64, so the order of additions
// can't matter and what was added can be taken back to the bit.

namespace fedselect::ops::cpu::FEDSELECT_ISA {
namespace {

constexpr Index kBlock = 64;  // values that one mask word covers
constexpr Index kLongs = kWidth / 2;

typedef std::int64_t Longs __attribute__((vector_size(kWidth * 4)));
typedef std::uint64_t Unsigned __attribute__((vector_size(kWidth * 4)));
typedef double Doubles __attribute__((vector_size(kWidth * 4)));
typedef float HalfVec __attribute__((vector_size(kWidth * 2)));
typedef std::uint32_t HalfUnsigned __attribute__((vector_size(kWidth * 2)));
typedef float HalfAnywhere __attribute__((vector_size(kWidth * 2), aligned(4), may_alias));
typedef std::int64_t LongsAnywhere __attribute__((vector_size(kWidth * 4), aligned(8), may_alias));
typedef std::uint32_t HalfUnsignedAnywhere
    __attribute__((vector_size(kWidth * 2), aligned(4), may_alias));

inline Word inside(Index size, Index b) {
  const Index left = size - b * kBlock;
  return left >= kBlock ? ~Word{0} : (Word{1} << left) - 1;
}

/// 2^exponent, |exponent| < 1000.
inline double power_of_two(int exponent) {
  const std::int64_t bits = static_cast<std::int64_t>(1023 + exponent) << 52;
  double power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power;
}

/// The integer nearest to x (ties to even), |x| < 2^62.
inline Longs round_to_integer(Doubles x) {
#if defined(__AVX512DQ__)
  return reinterpret_cast<Longs>(
      _mm512_cvt_roundpd_epi64(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  // Adding 1.5 * 2^(52 + e) leaves the nearest multiple of 2^e in the low bits of the sum. The
  // multiple of 2^32 is split off first, so that both halves fit; the rest is exact, and rounds as
  // x does.
  const Doubles coarse = 0x1.8p84 - Doubles{};
  const Doubles fine = 0x1.8p52 - Doubles{};
  const Doubles shifted = x + coarse;
  const Doubles rest = x - (shifted - coarse) + fine;
  const Longs high = reinterpret_cast<Longs>(shifted) - reinterpret_cast<Longs>(coarse);
  const Longs low = reinterpret_cast<Longs>(rest) - reinterpret_cast<Longs>(fine);
  return (high << 32) + low;
#endif
}

inline Longs zero_or_one(Word bits) {
  Longs lane{};
  for (int i = 0; i < kLongs; ++i) lane[i] = i;
  return ((static_cast<std::int64_t>(bits) - Longs{}) >> lane) & 1;
}

/// Adds w (or -w: retracts) times the shared values among one vector of them.
struct Adder {
  Doubles scale;
  Longs weight;
  SumView sum;
  bool two_words;

  template <bool adds>
  void apply(const float* theta, Index i, Word bits) const {
    const HalfVec part = *reinterpret_cast<const HalfAnywhere*>(theta + i);
    // The mask enters as a weight of 0 or w: the products of personal values vanish.
    const Longs w = weight * zero_or_one(bits);
    const Doubles scaled = __builtin_convertvector(part, Doubles) * scale;
    const Longs q = round_to_integer(scaled);
    Longs low;
    if (two_words) {
      // w q = b 2^32 + a, with a = w * (q mod 2^32) and b = w * floor(q / 2^32).
      const Unsigned a =
          reinterpret_cast<Unsigned>(w) * (reinterpret_cast<Unsigned>(q) & 0xffffffffU);
      const Longs high = w * (q >> 32) + reinterpret_cast<Longs>(a >> 32);
      low = reinterpret_cast<Longs>(a & 0xffffffffU);
      auto* to = reinterpret_cast<LongsAnywhere*>(sum.high + i);
      *to = adds ? *to + high : *to - high;
    } else {
      low = w * q;
    }
    auto* to = reinterpret_cast<LongsAnywhere*>(sum.low + i);
    *to = adds ? *to + low : *to - low;
    auto* weights = reinterpret_cast<HalfUnsignedAnywhere*>(sum.weight + i);
    const HalfUnsigned added = __builtin_convertvector(reinterpret_cast<Unsigned>(w), HalfUnsigned);
    *weights = adds ? *weights + added : *weights - added;
  }

  template <bool adds>
  void block(const float* theta, Index b, Word shared) const {
    for (Index i = 0; i < kBlock; i += kLongs) {
      const Word bits = (shared >> i) & ((Word{1} << kLongs) - 1);
      if (bits != 0) apply<adds>(theta, b * kBlock + i, bits);
    }
  }
};

inline Adder make_adder(const FixedPoint& fixed, std::uint32_t weight, const SumView& sum) {
  return {power_of_two(fixed.fraction_bits) - Doubles{},
          static_cast<std::int64_t>(weight) - Longs{}, sum, fixed.two_words};
}

/// The bits of the values of a block that aren't below the limit (NaN among them).
inline Word out_of_bounds(const float* theta) {
  const IntVec limit = 0x45800000 - IntVec{};  // the bits of 4096.f
  static_assert(FixedPoint::kMagnitudeLimit == 4096.F);
  IntVec any{};
  for (Index i = 0; i < kBlock; i += kWidth) {
    any |= (reinterpret_cast<IntVec>(load(theta + i)) & 0x7fffffff) >= limit;
  }
  Word found = 0;
  std::int32_t flat[kWidth];
  __builtin_memcpy(flat, &any, sizeof flat);
  std::int32_t some = 0;
  for (int i = 0; i < kWidth; ++i) some |= flat[i];
  if (some == 0) return 0;
  for (Index i = 0; i < kBlock; ++i) {
    if (!(__builtin_fabsf(theta[i]) < FixedPoint::kMagnitudeLimit)) found |= Word{1} << i;
  }
  return found;
}

}  // namespace

void retract(Index size, const FixedPoint& fixed, std::uint32_t weight, const float* theta,
             const Word* mask, const SumView& sum) {
  const Adder adder = make_adder(fixed, weight, sum);
  for (Index b = 0; b * kBlock < size; ++b) {
    const Word shared = inside(size, b) & (mask == nullptr ? ~Word{0} : ~mask[b]);
    if (shared != 0) adder.block<false>(theta, b, shared);
  }
}

// Limited by memory: 28 bytes a shared value (theta 4; sum 8 and weight 4, read and written), 44 in
// two words. The bounds are checked block by block on the way; a client that breaks them is
// retracted, which costs the others nothing. Measured: 80 GB/s with the sums in L3 (theta from
// memory).
Index accumulate(Index size, const FixedPoint& fixed, std::uint32_t weight, const float* theta,
                 const Word* mask, const SumView& sum) {
  const Adder adder = make_adder(fixed, weight, sum);
  for (Index b = 0; b * kBlock < size; ++b) {
    const Word shared = inside(size, b) & (mask == nullptr ? ~Word{0} : ~mask[b]);
    if (shared == 0) continue;
    const Word bad = out_of_bounds(theta + b * kBlock) & shared;
    if (bad != 0) {
      retract(b * kBlock, fixed, weight, theta, mask, sum);
      return b * kBlock + __builtin_ctzll(bad);
    }
    adder.block<true>(theta, b, shared);
  }
  return -1;
}

// Limited by memory: 20 bytes a value, 28 in two words.
//
// The quotient is a double rounded from the exact integer sum, divided once in double and rounded
// to float: at most one unit in the last place of a float from the exact mean, and the nearest
// float but where the mean lies within 2^-52 of the middle between two.
void divide(Index size, const FixedPoint& fixed, const SumView& sum, float* global) {
  const double scale = power_of_two(fixed.fraction_bits);
  for (Index j = 0; j < size; ++j) {
    if (sum.weight[j] == 0) continue;
    double value;
    if (fixed.two_words) {
      // high 2^32 + low: normalised so that low < 2^32, then high = its nearest double + rest. Only
      // the last addition rounds.
      const std::int64_t high = sum.high[j] + (sum.low[j] >> 32);
      const std::int64_t low = sum.low[j] & 0xffffffff;
      const auto nearest = static_cast<double>(high);
      const std::int64_t rest = high - static_cast<std::int64_t>(nearest);
      value = nearest * 0x1p32 + static_cast<double>(rest * (std::int64_t{1} << 32) + low);
    } else {
      value = static_cast<double>(sum.low[j]);
    }
    global[j] = static_cast<float>(value / (static_cast<double>(sum.weight[j]) * scale));
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
