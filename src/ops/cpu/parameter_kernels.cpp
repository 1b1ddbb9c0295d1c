#include "ops/cpu/parameter_kernels.hpp"

#include "ops/cpu/selection_kernels.hpp"
#include "ops/cpu/simd.hpp"
#include "ops/cpu/sum_kernels.hpp"
#include "ops/cpu/vector_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {
namespace {

constexpr Index kBlock = 64;  // values that one mask word covers

/// The bits of block `b` that lie within the first `size` indices.
inline Word inside(Index size, Index b) {
  const Index left = size - b * kBlock;
  return left >= kBlock ? ~Word{0} : (Word{1} << left) - 1;
}

/// a b + c, fused where the instruction set can: the same bits in every variant of a kernel.
inline Vec fused(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

/// Lane i: bit i of `bits` ? yes : no.
inline Vec choose(Word bits, Vec yes, Vec no) {
#if defined(__AVX512F__)
  return _mm512_mask_blend_ps(static_cast<__mmask16>(bits), no, yes);
#else
  IntVec lane{};
  for (int i = 0; i < kWidth; ++i) lane[i] = 1 << i;
  const IntVec all = static_cast<std::int32_t>(bits & ((Word{1} << kWidth) - 1)) - IntVec{};
  return (all & lane) != 0 ? yes : no;
#endif
}

constexpr Word kLanes = (Word{1} << kWidth) - 1;

/// Calls visit(offset, bits of kWidth lanes) for the vectors of the block that `word` has bits in.
template <class Visit>
inline void for_each_vector(Word word, const Visit& visit) {
#pragma GCC unroll 4
  for (int i = 0; i < kBlock; i += kWidth) {
    const Word bits = (word >> i) & kLanes;
    if (bits != 0) visit(i, bits);  // a vector is at most a line: what isn't in scope isn't fetched
  }
}

/// What an SGD step does to one vector of parameters.
template <bool momentum, bool decay>
struct SgdUpdate {
  Vec scale, minus_rate, keep, weight_decay;

  explicit SgdUpdate(const SgdStep& step)
      : scale(broadcast(step.scale)),
        minus_rate(broadcast(-step.rule.rate)),
        keep(broadcast(step.rule.momentum)),
        weight_decay(broadcast(step.rule.weight_decay)) {}

  void apply(Vec g, Vec& theta, Vec& v) const {
    Vec change = scale * g;
    if constexpr (decay) change = fused(weight_decay, theta, change);
    if constexpr (momentum) change = v = fused(keep, v, change);
    theta = fused(minus_rate, change, theta);
  }
};

template <bool momentum, bool decay, bool scoped>
void sgd(Index size, const SgdStep& step, float* theta, const float* gradient, float* velocity,
         const Word* mask) {
  const SgdUpdate<momentum, decay> update(step);
  const Word flip = step.rule.scope == Scope::shared ? ~Word{0} : 0;
  for (Index b = 0; b * kBlock < size; ++b) {
    Word word = inside(size, b);
    if constexpr (scoped) word &= mask[b] ^ flip;
    if (word == 0) continue;
    float* t = theta + b * kBlock;
    const float* g = gradient + b * kBlock;
    float* v = momentum ? velocity + b * kBlock : nullptr;
    const auto step_vector = [&](Index i, Word bits, bool all) {
      Vec tv = load(t + i);
      Vec vv{};
      if constexpr (momentum) vv = load(v + i);
      const Vec old_t = tv;
      const Vec old_v = vv;
      update.apply(load(g + i), tv, vv);
      store(t + i, all ? tv : choose(bits, tv, old_t));
      if constexpr (momentum) store(v + i, all ? vv : choose(bits, vv, old_v));
    };
    if (word == ~Word{0}) {
#pragma GCC unroll 4
      for (Index i = 0; i < kBlock; i += kWidth) step_vector(i, kLanes, true);
    } else {
      for_each_vector(word, [&](Index i, Word bits) { step_vector(i, bits, false); });
    }
  }
}

template <bool momentum, bool decay>
void sgd(Index size, const SgdStep& step, float* theta, const float* gradient, float* velocity,
         const Word* mask) {
  if (step.rule.scope == Scope::all) {
    sgd<momentum, decay, false>(size, step, theta, gradient, velocity, mask);
  } else {
    sgd<momentum, decay, true>(size, step, theta, gradient, velocity, mask);
  }
}

// Limited by memory: 12 bytes a parameter (theta read and written, gradient read), 20 with
// momentum. Measured on Zen 5 (selection_bench): 58 GB/s, what y += x gets there; from L3 160 GB/s.
void sgd_step(Index size, const SgdStep& step, float* theta, const float* gradient, float* velocity,
              const Word* mask) {
  const bool decay = step.rule.weight_decay != 0;
  if (step.rule.momentum != 0 && decay) {
    sgd<true, true>(size, step, theta, gradient, velocity, mask);
  } else if (step.rule.momentum != 0) {
    sgd<true, false>(size, step, theta, gradient, velocity, mask);
  } else if (decay) {
    sgd<false, true>(size, step, theta, gradient, velocity, mask);
  } else {
    sgd<false, false>(size, step, theta, gradient, velocity, mask);
  }
}

typedef double Doubles __attribute__((vector_size(kWidth * 4)));
typedef float HalfVec __attribute__((vector_size(kWidth * 2)));
typedef float HalfAnywhere __attribute__((vector_size(kWidth * 2), aligned(4), may_alias));

/// Limited by memory (4 bytes a value; 82 % of the read bandwidth measured). Squares of floats are
/// exact in double and the partial sums are the same on every instruction set, so the result is
/// too.
double squared_norm(Index size, const float* values) {
  constexpr Index kSums = 32;
  constexpr Index kHalf = kWidth / 2;
  Doubles sums[kSums / kHalf] = {};
  const auto add = [&](const float* x) {
#pragma GCC unroll 16
    for (Index i = 0; i < kSums / kHalf; ++i) {
      const HalfVec part = *reinterpret_cast<const HalfAnywhere*>(x + i * kHalf);
      const Doubles wide = __builtin_convertvector(part, Doubles);
      sums[i] += wide * wide;
    }
  };
  Index done = 0;
  for (; done + kSums <= size; done += kSums) add(values + done);
  if (done < size) {
    float rest[kSums] = {};
    for (Index i = done; i < size; ++i) rest[i - done] = values[i];
    add(rest);
  }
  double sum = 0;
  for (Index i = 0; i < kSums; ++i) sum += sums[i / kHalf][i % kHalf];
  return sum;
}

/// Limited by memory: 16 bytes a value.
void add_proximal(Index size, float lambda, const float* __restrict theta,
                  const float* __restrict anchor, float* __restrict gradient) {
  for (Index i = 0; i < size; ++i) gradient[i] += lambda * (theta[i] - anchor[i]);
}

/// Limited by memory: 12 bytes a value. Measured 39 GB/s, 77 % of y += x: `out` is fetched only to
/// be overwritten, which the count leaves out. Selection reads it next, so it stays in the cache.
void change_magnitude(Index size, const float* __restrict theta, const float* __restrict reference,
                      float* __restrict out) {
  if (reference == nullptr) {
    for (Index i = 0; i < size; ++i) out[i] = __builtin_fabsf(theta[i]);
    return;
  }
  for (Index i = 0; i < size; ++i) out[i] = __builtin_fabsf(theta[i] - reference[i]);
}

Index count_bits(Index size, const Word* bits) {
  Index count = 0;
  for (Index b = 0; b * kBlock < size; ++b) {
    count += __builtin_popcountll(bits[b] & inside(size, b));
  }
  return count;
}

/// Limited by memory: 8 bytes a packed value, and the lines of theta that hold one. Measured: 45
/// GB/s, 90 % of y += x.
Index pack(Index size, const float* theta, const Word* mask, float* packed) {
  float* out = packed;
  for (Index b = 0; b * kBlock < size; ++b) {
    const float* x = theta + b * kBlock;
    Word word = mask[b] & inside(size, b);
    if (word == ~Word{0}) {
      for (Index i = 0; i < kBlock; i += kWidth) store(out + i, load(x + i));
      out += kBlock;
      continue;
    }
#if defined(__AVX512F__)
    for_each_vector(word, [&](Index i, Word bits) {
      const auto lanes = static_cast<__mmask16>(bits);
      const int n = __builtin_popcount(lanes);
      store(out, _mm512_maskz_compress_ps(lanes, load(x + i)), Lanes(n));
      out += n;
    });
#else
    for (; word != 0; word &= word - 1) *out++ = x[__builtin_ctzll(word)];
#endif
  }
  return out - packed;
}

/// Limited by memory: 12 bytes a value.
void unpack(Index size, const float* packed, const Word* mask, float* theta) {
  for (Index b = 0; b * kBlock < size; ++b) {
    float* x = theta + b * kBlock;
    Word word = mask[b] & inside(size, b);
    if (word == ~Word{0}) {
      for (Index i = 0; i < kBlock; i += kWidth) store(x + i, load(packed + i));
      packed += kBlock;
      continue;
    }
#if defined(__AVX512F__)
    for_each_vector(word, [&](Index i, Word bits) {
      const auto lanes = static_cast<__mmask16>(bits);
      const int n = __builtin_popcount(lanes);
      store(x + i, _mm512_mask_expand_ps(load(x + i), lanes, load(packed, Lanes(n))));
      packed += n;
    });
#else
    for (; word != 0; word &= word - 1) x[__builtin_ctzll(word)] = *packed++;
#endif
  }
}

}  // namespace

extern const ParameterKernels kParameterKernels;
const ParameterKernels kParameterKernels = {
    .sgd_step = sgd_step,
    .adam_step = adam_step,
    .combine = combine,
    .dot = dot,
    .largest_magnitude = largest_magnitude,
    .squared_norm = squared_norm,
    .add_proximal = add_proximal,
    .change_magnitude = change_magnitude,
    .count_bits = count_bits,
    .selection_scratch = selection_scratch,
    .select_top = select_top,
    .accumulate = accumulate,
    .retract = retract,
    .divide = divide,
    .unshared = unshared,
    .pack = pack,
    .unpack = unpack,
};

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
