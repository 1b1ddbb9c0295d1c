#include "machine.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/aligned.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fedselect::bench {
namespace {

constexpr int kRuns = 5;

/// The least seconds of several runs.
template <class Work>
double best_seconds(const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

/// How often a loop over `bytes` runs so that it takes some hundredths of a second.
std::size_t repeats_for(std::size_t bytes) {
  return std::max<std::size_t>(1, kBeyondCaches / bytes);
}

// The compiler must take what these hold as used and changed.
template <class T>
void keep(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

#if defined(__x86_64__)
constexpr int kAccumulators = 12;  // latency 4 or 5, two a cycle: 10 are in flight
constexpr long kSteps = 5'000'000;

__attribute__((target("avx512f"))) void run_avx512() {
  __m512 sums[kAccumulators];
  for (auto& sum : sums) sum = _mm512_set1_ps(1);
  const __m512 a = _mm512_set1_ps(0.999F);
  const __m512 b = _mm512_set1_ps(0.001F);
  for (long step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (auto& sum : sums) {
      sum = _mm512_fmadd_ps(sum, a, b);
      asm volatile("" : "+v"(sum));
    }
  }
}

__attribute__((target("avx2,fma"))) void run_avx2() {
  __m256 sums[kAccumulators];
  for (auto& sum : sums) sum = _mm256_set1_ps(1);
  const __m256 a = _mm256_set1_ps(0.999F);
  const __m256 b = _mm256_set1_ps(0.001F);
  for (long step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (auto& sum : sums) {
      sum = _mm256_fmadd_ps(sum, a, b);
      asm volatile("" : "+x"(sum));
    }
  }
}

__attribute__((target("avx512f"))) void read_avx512(const float* x, std::size_t n) {
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
  for (std::size_t i = 0; i < n; i += 64) {
#pragma GCC unroll 4
    for (std::size_t k = 0; k < 4; ++k) {
      sums[k] = _mm512_add_ps(sums[k], _mm512_loadu_ps(x + i + 16 * k));
    }
  }
  for (auto& sum : sums) asm volatile("" : "+v"(sum));
}
#endif

/// One value of each 16 bytes: every line arrives, whatever the compiler's vectors.
void read_plain(const float* x, std::size_t n) {
  float sums[4] = {};
  for (std::size_t i = 0; i < n; i += 16) {
    for (std::size_t k = 0; k < 4; ++k) sums[k] += x[i + 4 * k];
  }
  keep(sums);
}

void read_all(const float* x, std::size_t n) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return read_avx512(x, n);
#endif
  read_plain(x, n);
}

void update_all(float* __restrict y, const float* __restrict x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
}

}  // namespace

double fma_peak_gflops() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    return kSteps * kAccumulators * 32.0 / best_seconds(run_avx512) * 1e-9;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return kSteps * kAccumulators * 16.0 / best_seconds(run_avx2) * 1e-9;
  }
#endif
  return 0;
}

double read_bandwidth_gbs(std::size_t bytes) {
  bytes = round_up(bytes, 256);
  const AlignedVector<float> x(bytes / sizeof(float), 1.F);
  const std::size_t repeats = repeats_for(bytes);
  const double seconds = best_seconds([&] {
    for (std::size_t r = 0; r < repeats; ++r) read_all(x.data(), x.size());
  });
  return static_cast<double>(bytes * repeats) / seconds * 1e-9;
}

double copy_bandwidth_gbs(std::size_t bytes) {
  AlignedVector<char> from(bytes, 1);
  AlignedVector<char> to(bytes, 2);
  const std::size_t repeats = repeats_for(bytes);
  const double seconds = best_seconds([&] {
    for (std::size_t r = 0; r < repeats; ++r) {
      std::memcpy(to.data(), from.data(), bytes);
      keep(to[0]);
    }
  });
  return 2 * static_cast<double>(bytes * repeats) / seconds * 1e-9;
}

double update_bandwidth_gbs(std::size_t bytes) {
  AlignedVector<float> x(bytes / sizeof(float), 1.F);
  AlignedVector<float> y(bytes / sizeof(float), 2.F);
  const std::size_t repeats = repeats_for(bytes);
  const double seconds = best_seconds([&] {
    for (std::size_t r = 0; r < repeats; ++r) {
      update_all(y.data(), x.data(), y.size());
      keep(y[0]);
    }
  });
  return 3 * static_cast<double>(bytes * repeats) / seconds * 1e-9;
}

}  // namespace fedselect::bench
