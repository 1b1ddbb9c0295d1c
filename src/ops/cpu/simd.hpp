#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/// A vector of floats as wide as the instruction set that this file is compiled for.
///
/// Arithmetic, comparison and `mask ? a : b` are the compiler's vector extensions; a * b + c
/// becomes one fused operation where there is one (-ffp-contract=fast). Loads and stores need no
/// alignment.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

using Index = std::ptrdiff_t;

#if defined(__AVX512F__)
inline constexpr int kWidth = 16;
#elif defined(__AVX2__)
inline constexpr int kWidth = 8;
#else
inline constexpr int kWidth = 4;
#endif

typedef float Vec __attribute__((vector_size(kWidth * 4)));
typedef std::int32_t IntVec __attribute__((vector_size(kWidth * 4)));
typedef std::uint8_t ByteVec __attribute__((vector_size(kWidth)));
typedef float VecAnywhere __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef std::uint8_t BytesAnywhere __attribute__((vector_size(kWidth), aligned(1), may_alias));

constexpr Index min(Index a, Index b) { return a < b ? a : b; }
constexpr Index max(Index a, Index b) { return a < b ? b : a; }
constexpr Index ceil_div(Index n, Index unit) { return (n + unit - 1) / unit; }
constexpr Index round_up_to(Index n, Index unit) { return ceil_div(n, unit) * unit; }

inline Vec load(const float* p) { return *reinterpret_cast<const VecAnywhere*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecAnywhere*>(p) = v; }
inline Vec broadcast(float s) { return s - Vec{}; }

/// a b + c, rounded once where the instruction set can. Said outright: whether the compiler fuses
/// depends on its flags.
inline Vec multiply_add(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
inline Vec multiply_add(float a, Vec b, Vec c) { return multiply_add(broadcast(a), b, c); }

/// The first n lanes, 0 <= n <= kWidth.
struct Lanes {
#if defined(__AVX512F__)
  __mmask16 mask;
  explicit Lanes(Index n) : mask(static_cast<__mmask16>((1U << n) - 1U)) {}
#elif defined(__AVX2__)
  __m256i mask;
  explicit Lanes(Index n)
      : mask(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))) {}
#else
  Index count;
  explicit Lanes(Index n) : count(n) {}
#endif
};

/// Memory behind the lanes is not touched; those lanes read as 0.
inline Vec load(const float* p, const Lanes& lanes) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(lanes.mask, p);
#elif defined(__AVX2__)
  return _mm256_maskload_ps(p, lanes.mask);
#else
  Vec v{};
  for (Index i = 0; i < lanes.count; ++i) v[i] = p[i];
  return v;
#endif
}
inline void store(float* p, Vec v, const Lanes& lanes) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, lanes.mask, v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(p, lanes.mask, v);
#else
  for (Index i = 0; i < lanes.count; ++i) p[i] = v[i];
#endif
}

namespace detail {
using AllLanes = std::make_integer_sequence<int, kWidth>;

template <int H, int... L>
inline Vec first_halves(Vec a, Vec b, std::integer_sequence<int, L...> /*lanes*/) {
  return __builtin_shufflevector(a, b, ((L & H) == 0 ? L : kWidth + L - H)...);
}
template <int H, int... L>
inline Vec second_halves(Vec a, Vec b, std::integer_sequence<int, L...> /*lanes*/) {
  return __builtin_shufflevector(a, b, ((L & H) == 0 ? L + H : kWidth + L)...);
}

/// Exchanges blocks of H lanes between vectors that are H apart: one step of a transposition.
template <int H>
inline void exchange(Vec* v) {
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    if ((i & H) != 0) continue;
    const Vec a = v[i];
    const Vec b = v[i + H];
    v[i] = first_halves<H>(a, b, AllLanes{});
    v[i + H] = second_halves<H>(a, b, AllLanes{});
  }
  if constexpr (H > 1) exchange<H / 2>(v);
}
/// Adds the halves of the first 2 H vectors pairwise until one vector is left.
template <int H>
inline void fold(Vec* v) {
#pragma GCC unroll 16
  for (int i = 0; i < H; ++i) {
    v[i] =
        first_halves<H>(v[i], v[i + H], AllLanes{}) + second_halves<H>(v[i], v[i + H], AllLanes{});
  }
  if constexpr (H > 1) fold<H / 2>(v);
}
}  // namespace detail

/// v as a kWidth x kWidth matrix <- its transpose.
inline void transpose_square(Vec* v) { detail::exchange<kWidth / 2>(v); }

/// Lane i of the result: the sum over the lanes of v[i]. Overwrites v.
inline Vec sums_of_lanes(Vec* v) {
  detail::fold<kWidth / 2>(v);
  return v[0];
}

/// Hands out consecutive parts of a scratch buffer, in floats, each aligned to a cache line.
struct Arena {
  Index size = 0;
  Index take(Index floats) {
    const Index offset = size;
    size += round_up_to(floats, 16);
    return offset;
  }
};

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
