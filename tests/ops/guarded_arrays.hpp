#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "ops/cpu/cpu_ops.hpp"

/// What tests of CPU ops share: the instruction sets of this machine and guarded arrays of a
/// group's clients.
namespace fedselect::ops::test {

using cpu::CpuOps;
using cpu::Isa;

inline std::vector<Isa> isas_here() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (isa <= cpu::best_isa()) isas.push_back(isa);
  }
  return isas;
}

/// Values in [-1, 1) that depend on the seed and the index only.
inline float noise(std::uint64_t seed, std::size_t i) {
  std::uint64_t z = (seed * 1000003 + i + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<float>(z >> 40U) / static_cast<float>(1U << 23U) - 1.0F;
}

template <class T>
constexpr T kGuard = static_cast<T>(77);
template <>
constexpr Placement kGuard<Placement> = {77, 77, true};

/// An array of each client of a group, at odd addresses, with guards between that no op may touch.
template <class T>
struct Clients {
  static constexpr std::size_t kGap = 7;
  std::vector<int> samples;
  std::vector<std::size_t> sizes;
  std::size_t stride = 0;
  std::vector<T> memory;

  Clients(const std::vector<int>& samples_of, std::size_t per_sample, std::size_t fixed = 0)
      : samples(samples_of) {
    for (const int n : samples) {
      sizes.push_back(n == 0 ? 0 : fixed + per_sample * static_cast<std::size_t>(n));
      stride = std::max(stride, sizes.back() + kGap);
    }
    memory.assign(stride * samples.size() + kGap, kGuard<T>);
  }
  Grouped<T> view() { return {memory.data() + kGap, static_cast<std::ptrdiff_t>(stride)}; }
  T* operator[](std::size_t g) { return memory.data() + kGap + g * stride; }

  Clients& randomize(std::uint64_t seed) requires std::is_same_v<T, float> {
    for (std::size_t g = 0; g < samples.size(); ++g) {
      for (std::size_t i = 0; i < sizes[g]; ++i) (*this)[g][i] = noise(seed + g, i);
    }
    return *this;
  }
  Clients& poison() {
    std::fill(memory.begin(), memory.end(), kGuard<T>);
    return *this;
  }
  void expect_guards_intact() {
    std::size_t touched = 0;
    for (std::size_t i = 0; i < memory.size(); ++i) {
      const std::size_t at = i < kGap ? stride : (i - kGap) % stride;
      const std::size_t g = i < kGap ? 0 : (i - kGap) / stride;
      const bool guard = g >= sizes.size() || at >= sizes[g];
      if (guard && memory[i] != kGuard<T>) ++touched;
    }
    EXPECT_EQ(touched, 0U) << "guard values were overwritten";
  }
};

using Arrays = std::vector<std::vector<double>>;  // [client][index]

inline Arrays zeros_like(const Clients<float>& c) {
  Arrays a;
  for (const std::size_t n : c.sizes) a.emplace_back(n, 0.0);
  return a;
}

/// Norm-wise error of each client's array; guards intact.
inline void expect_close(Clients<float>& actual, const Arrays& expected, double tolerance,
                         const std::string& name) {
  for (std::size_t g = 0; g < expected.size(); ++g) {
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < expected[g].size(); ++i) {
      const double difference = actual[g][i] - expected[g][i];
      error += difference * difference;
      norm += expected[g][i] * expected[g][i];
    }
    EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm) + 1e-12) << name << ", client " << g;
  }
  actual.expect_guards_intact();
}

inline std::string describe(Isa isa) { return std::string(cpu::to_string(isa)); }

}  // namespace fedselect::ops::test
