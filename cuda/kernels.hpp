#pragma once

#include <cstddef>
#include <cstdint>

#include "launch.hpp"

/// What kernels have in common. A kernel works on a group of clients: blockIdx.y is the client,
/// blockIdx.x and the threads stride over its elements.
namespace fedselect::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;

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

}  // namespace fedselect::cuda
