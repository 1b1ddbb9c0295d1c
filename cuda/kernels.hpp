#pragma once

#include <cstddef>
#include <cstdint>

#include "device_views.hpp"
#include "launch.hpp"

/// What kernels have in common. A kernel works on a group of clients: blockIdx.y is the client,
/// blockIdx.x and the threads stride over its elements.
namespace fedselect::cuda {

inline constexpr int kThreads = 256;  ///< of a block
inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;
inline constexpr int kQuad = 4;  ///< floats that a thread loads at once

__device__ __forceinline__ float4 load4(const float* p) {
  return *reinterpret_cast<const float4*>(p);
}
__device__ __forceinline__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

/// `kWide` values that lie side by side.
template <class T, int kWide>
struct alignas(sizeof(T) * kWide) Wide {
  T values[kWide];
};
template <int kWide, class T>
__device__ __forceinline__ const Wide<T, kWide>& wide(const T* p) {
  return *reinterpret_cast<const Wide<T, kWide>*>(p);
}
template <int kWide, class T>
__device__ __forceinline__ Wide<T, kWide>& wide(T* p) {
  return *reinterpret_cast<Wide<T, kWide>*>(p);
}

/// Whether the arrays of all clients can be read four values at once.
template <class T>
bool is_aligned(const ops::Grouped<T>& values) {
  return reinterpret_cast<std::uintptr_t>(values.data) % (kQuad * sizeof(T)) == 0 &&
         values.stride % kQuad == 0;
}

/// Division by a number that is known before the launch: a product and a shift. For dividends from
/// 0 to 2^31 - 1.
class Divider {
 public:
  explicit Divider(int divisor) : divisor_(divisor) {
    const auto d = static_cast<std::uint64_t>(divisor);
    while ((std::uint64_t{1} << shift_) < d) ++shift_;
    factor_ = static_cast<unsigned>(((std::uint64_t{1} << (31 + shift_)) + d - 1) / d);
  }
  __host__ __device__ int divisor() const { return divisor_; }
  __host__ __device__ __forceinline__ int quotient(int n) const {
    const std::uint64_t product = std::uint64_t{2U * static_cast<unsigned>(n)} * factor_;
    return static_cast<int>(static_cast<unsigned>(product >> 32) >> shift_);
  }
  __host__ __device__ __forceinline__ int remainder(int n) const {
    return n - quotient(n) * divisor_;
  }

 private:
  int divisor_;
  unsigned shift_ = 0, factor_ = 0;
};

/// A grid whose rows of kThreads threads take `per_thread` elements each, a row of blocks a client.
inline dim3 grid_of(std::size_t elements, int clients, int per_thread = 1) {
  constexpr std::size_t kMostBlocks = 65535;
  const std::size_t per_block = static_cast<std::size_t>(kThreads) * per_thread;
  const std::size_t blocks = (elements + per_block - 1) / per_block;
  return {static_cast<unsigned>(blocks < kMostBlocks ? (blocks > 0 ? blocks : 1) : kMostBlocks),
          static_cast<unsigned>(clients)};
}

/// The first element of this thread, and how far it is to its next one.
__device__ __forceinline__ std::size_t first_element() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::size_t element_step() {
  return static_cast<std::size_t>(gridDim.x) * blockDim.x;
}

/// The sum over the block's threads (kThreads of them), in every thread, added up in one fixed
/// order. `space`: kThreads / kWarp values in shared memory. All threads must call it.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* space) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kAllLanes, value, offset);
  if (threadIdx.x % kWarp == 0) space[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = 0;
  for (int warp = 0; warp < kThreads / kWarp; ++warp) sum += space[warp];
  __syncthreads();
  return sum;
}

/// values[i] <- the sum of the values before it, worked out by one block; returns the sum of all.
/// `space`: kThreads values in shared memory. All threads must call it.
__device__ __forceinline__ unsigned exclusive_sums(unsigned* values, unsigned count,
                                                   unsigned* space) {
  const unsigned per_thread = (count + kThreads - 1) / kThreads;
  const unsigned begin = threadIdx.x * per_thread < count ? threadIdx.x * per_thread : count;
  const unsigned end = begin + per_thread < count ? begin + per_thread : count;
  unsigned mine = 0;
  for (unsigned i = begin; i < end; ++i) mine += values[i];
  space[threadIdx.x] = mine;
  __syncthreads();
  unsigned before = 0, all = 0;
  for (unsigned t = 0; t < kThreads; ++t) {
    before += t < threadIdx.x ? space[t] : 0;
    all += space[t];
  }
  for (unsigned i = begin; i < end; ++i) {
    const unsigned value = values[i];
    values[i] = before;
    before += value;
  }
  __syncthreads();
  return all;
}

/// The part of a range that a block works on.
struct Chunk {
  int range = 0;
  std::size_t begin = 0;  ///< index in the vector, a multiple of kChunk behind the range's
  int size = 0;           ///< up to kChunk
};

__device__ __forceinline__ Chunk chunk_of(const DeviceRanges& table, unsigned chunk) {
  int low = 0, high = table.count;  // first_chunk[low] <= chunk < first_chunk[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (table.first_chunk[middle] <= chunk ? low : high) = middle;
  }
  const ops::Range range = table.ranges[low];
  const std::size_t offset = static_cast<std::size_t>(chunk - table.first_chunk[low]) * kChunk;
  const std::size_t left = range.size - offset;
  return {low, range.begin + offset, static_cast<int>(left < kChunk ? left : kChunk)};
}

/// The bits of word `w` of a chunk that lie within it.
__device__ __forceinline__ Word inside(const Chunk& chunk, int w) {
  const int left = chunk.size - w * 64;
  return left >= 64 ? ~Word{0} : left <= 0 ? 0 : (Word{1} << left) - 1;
}

}  // namespace fedselect::cuda
