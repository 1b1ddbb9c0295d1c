#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#ifdef FEDSELECT_CUDA_HOST
#include "host/streams.hpp"
#endif

/// How kernels are launched: the one place that differs between nvcc and cuda/host.
namespace fedselect::cuda {

#ifdef FEDSELECT_CUDA_HOST

/// Before a loop over registers: nvcc shall unroll it whole.
#define FEDSELECT_UNROLL

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(host::dynamic_shared_memory());
}

template <class... Parameters, class... Arguments>
[[nodiscard]] cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                                 std::size_t shared_bytes, cudaStream_t stream,
                                 Arguments&&... arguments) {
  return host::enqueue_kernel(
      grid, block, shared_bytes, stream,
      [kernel, ... values = static_cast<Parameters>(std::forward<Arguments>(arguments))] {
        kernel(values...);
      });
}

#else

#define FEDSELECT_UNROLL _Pragma("unroll")

/// The launch's dynamic shared memory, aligned to 16 bytes.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ float4 fedselect_dynamic_shared[];
  return reinterpret_cast<T*>(fedselect_dynamic_shared);
}

/// Puts a kernel on the stream; its arguments are bound now.
template <class... Parameters, class... Arguments>
[[nodiscard]] cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                                 std::size_t shared_bytes, cudaStream_t stream,
                                 Arguments&&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel,
                            static_cast<Parameters>(std::forward<Arguments>(arguments))...);
}

#endif

}  // namespace fedselect::cuda
