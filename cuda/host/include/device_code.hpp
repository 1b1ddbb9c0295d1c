#pragma once

// What device code is written with: qualifiers, built-in variables, meeting points of threads,
// atomics, intrinsics.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vector_types.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
/// One variable for all threads of a block: blocks run one after another. Not in templates (GCC
/// can't give template and other variables one section): those use dynamic_shared().
#define __shared__ static __attribute__((section("fedselect_shared")))

namespace fedselect::cuda::host {

/// Where the thread that runs now is.
struct Position {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
extern Position position;

/// The launch's dynamic shared memory.
void* dynamic_shared_memory();

/// Waits for all threads of the block that have not returned. `line` tells meeting points apart.
void meet_block(int line);
/// Waits for the lanes of the mask; then each reads what lane `from` brought. 8 bytes at most.
std::uint64_t meet_warp(unsigned mask, std::uint64_t value, int from, int line);
/// Waits for the lanes of the mask; then `values[lane]` holds what each of them brought.
void meet_warp_all(unsigned mask, std::uint64_t value, int line, std::uint64_t (&values)[32]);

int lane();

template <class T>
std::uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
T from_bits(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace fedselect::cuda::host

#define threadIdx (::fedselect::cuda::host::position.thread)
#define blockIdx (::fedselect::cuda::host::position.block)
#define blockDim (::fedselect::cuda::host::position.block_size)
#define gridDim (::fedselect::cuda::host::position.grid_size)
inline constexpr int warpSize = 32;

inline void __syncthreads(int line = __builtin_LINE()) { fedselect::cuda::host::meet_block(line); }
inline void __syncwarp(unsigned mask = 0xffffffffU, int line = __builtin_LINE()) {
  fedselect::cuda::host::meet_warp(mask, 0, fedselect::cuda::host::lane(), line);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32, int line = __builtin_LINE()) {
  using namespace fedselect::cuda::host;
  const int base = lane() / width * width;
  return from_bits<T>(meet_warp(mask, to_bits(value), base + (from & (width - 1)), line));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int /*width*/ = 32,
                  int line = __builtin_LINE()) {
  using namespace fedselect::cuda::host;
  return from_bits<T>(meet_warp(mask, to_bits(value), lane() ^ bits, line));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   int line = __builtin_LINE()) {
  using namespace fedselect::cuda::host;
  const int from = lane() + static_cast<int>(delta);
  const int end = (lane() / width + 1) * width;
  return from_bits<T>(meet_warp(mask, to_bits(value), from < end ? from : lane(), line));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 int line = __builtin_LINE()) {
  using namespace fedselect::cuda::host;
  const int from = lane() - static_cast<int>(delta);
  const int begin = lane() / width * width;
  return from_bits<T>(meet_warp(mask, to_bits(value), from >= begin ? from : lane(), line));
}
inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  std::uint64_t values[32];
  fedselect::cuda::host::meet_warp_all(mask, predicate != 0 ? 1 : 0, line, values);
  unsigned bits = 0;
  for (unsigned i = 0; i < 32; ++i)
    if (((mask >> i) & 1U) != 0 && values[i] != 0) bits |= 1U << i;
  return bits;
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) == mask ? 1 : 0;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value, int line = __builtin_LINE()) {
  std::uint64_t values[32];
  fedselect::cuda::host::meet_warp_all(mask, value, line, values);
  unsigned sum = 0;
  for (unsigned i = 0; i < 32; ++i)
    if (((mask >> i) & 1U) != 0) sum += static_cast<unsigned>(values[i]);
  return sum;
}

// Threads of a block never run at the same time, so an atomic is an ordinary update.
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  const T old = *p;
  *p = old + v;
  return old;
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  const T old = *p;
  *p = std::min(old, v);
  return old;
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  const T old = *p;
  *p = std::max(old, v);
  return old;
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  const T old = *p;
  *p = old | v;
  return old;
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  const T old = *p;
  *p = old & v;
  return old;
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  const T old = *p;
  *p = v;
  return old;
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> v) {
  const T old = *p;
  if (old == compare) *p = v;
  return old;
}
inline void __threadfence() {}

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __clzll(long long v) { return std::countl_zero(static_cast<unsigned long long>(v)); }
inline int __ffs(int v) { return v == 0 ? 0 : std::countr_zero(static_cast<unsigned>(v)) + 1; }
inline int __ffsll(long long v) {
  return v == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(v)) + 1;
}
template <class T>
T __ldg(const T* p) {
  return *p;
}

inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline long long __double_as_longlong(double v) { return std::bit_cast<long long>(v); }
inline double __longlong_as_double(long long v) { return std::bit_cast<double>(v); }

// The library that includes this is compiled without contraction: these round once.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __double2float_rn(double v) { return static_cast<float>(v); }
inline float __ll2float_rn(long long v) { return static_cast<float>(v); }
inline double __ll2double_rn(long long v) { return static_cast<double>(v); }
inline double __ull2double_rn(unsigned long long v) { return static_cast<double>(v); }
inline long long __double2ll_rn(double v) { return std::llrint(v); }
inline long long __float2ll_rn(float v) { return std::llrint(v); }
inline float rsqrtf(float v) { return 1 / std::sqrt(v); }
inline double rsqrt(double v) { return 1 / std::sqrt(v); }
using std::max;
using std::min;
