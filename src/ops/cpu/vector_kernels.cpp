#include "ops/cpu/vector_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {
namespace {

constexpr Index kBlock = 64;  // values that one mask word covers
constexpr Index kSums = 32;   // partial sums: the same on every instruction set

}  // namespace

/// Limited by memory: 28 bytes a parameter. The compiler vectorises the inner loop; whole words out
/// of scope are skipped.
void adam_step(Index size, const AdamClientStep& client, float* __restrict theta,
               const float* __restrict gradient, float* __restrict first, float* __restrict second,
               const Word* mask) {
  const auto& [rule, step, scale] = client;
  const Word flip = rule.scope == Scope::shared ? ~Word{0} : 0;
  const float new1 = 1 - rule.beta1;
  const float new2 = 1 - rule.beta2;
  for (Index b = 0; b < size; b += kBlock) {
    const Word word = mask == nullptr ? ~Word{0} : mask[b / kBlock] ^ flip;
    if (word == 0) continue;
    const Index end = size - b < kBlock ? size : b + kBlock;
    for (Index i = b; i < end; ++i) {
      const bool trained = ((word >> (i - b)) & 1) != 0;
      const float g = scale * gradient[i] + rule.weight_decay * theta[i];
      const float m = rule.beta1 * first[i] + new1 * g;
      const float square = g * g;
      const float sign = second[i] > square ? 1.F : second[i] < square ? -1.F : 0.F;
      const float v =
          rule.yogi ? second[i] - new2 * sign * square : rule.beta2 * second[i] + new2 * square;
      const float change = step.rate * m / (__builtin_sqrtf(v) * step.second_scale + rule.epsilon);
      first[i] = trained ? m : first[i];
      second[i] = trained ? v : second[i];
      theta[i] = trained ? theta[i] - change : theta[i];
    }
  }
}

/// Limited by memory: 12 bytes a value.
void combine(Index size, float a, const float* x, float b, const float* y, float* out) {
  for (Index i = 0; i < size; ++i) out[i] = a * x[i] + b * y[i];
}

/// Products of floats are exact in double.
double dot(Index size, const float* x, const float* y) {
  double sums[kSums] = {};
  Index done = 0;
  for (; done + kSums <= size; done += kSums) {
    for (Index i = 0; i < kSums; ++i) {
      sums[i] += static_cast<double>(x[done + i]) * static_cast<double>(y[done + i]);
    }
  }
  for (Index i = done; i < size; ++i) {
    sums[i - done] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

/// Limited by memory: 4 bytes a value. Magnitudes compare as integers do; NaNs are above infinity.
float largest_magnitude(Index size, const float* values) {
  constexpr std::uint32_t kSignless = 0x7FFFFFFF;
  constexpr std::uint32_t kInfinity = 0x7F800000;
  std::uint32_t most = 0;
  for (Index i = 0; i < size; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, values + i, sizeof(bits));
    bits &= kSignless;
    most = bits > most ? bits : most;
  }
  most = most > kInfinity ? kInfinity : most;
  float result;
  __builtin_memcpy(&result, &most, sizeof(result));
  return result;
}

void unshared(Index size, const std::uint32_t* weight, Word* bits) {
  for (Index b = 0; b * kBlock < size; ++b) {
    Word word = 0;
    for (Index i = 0; i < kBlock; ++i) word |= Word{weight[b * kBlock + i] == 0} << i;
    bits[b] = word;
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
