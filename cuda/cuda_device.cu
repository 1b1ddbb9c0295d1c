#include <array>
#include <string>

#include "cuda_device.hpp"
#include "cuda_ops.hpp"

namespace fedselect::cuda {

Visible visible_devices() {
#ifdef FEDSELECT_CUDA_HOST
  constexpr bool kEmulated = true;
#else
  constexpr bool kEmulated = false;
#endif
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) return {0, cudaGetErrorString(code), kEmulated};
  return {count, count == 0 ? "no device" : "", kEmulated};
}

namespace {
__global__ void probe_kernel() {}
}  // namespace

std::string find_obstacle(int device) {
  FEDSELECT_CUDA(cudaSetDevice(device));
  cudaFuncAttributes attributes{};
  const cudaError_t code =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(probe_kernel));
  if (code == cudaSuccess) return {};
  cudaGetLastError();  // forgets it
  cudaDeviceProp properties{};
  FEDSELECT_CUDA(cudaGetDeviceProperties(&properties, device));
  const std::string architecture =
      std::to_string(properties.major) + std::to_string(properties.minor);
  return std::string(properties.name) + " (sm_" + architecture + "): " + cudaGetErrorString(code) +
         "; build with -DCMAKE_CUDA_ARCHITECTURES=" + architecture + ", 75 at least";
}

std::string bus_id(int device) {
  std::array<char, 32> id{};
  FEDSELECT_CUDA(cudaDeviceGetPCIBusId(id.data(), static_cast<int>(id.size()), device));
  return id.data();
}

std::size_t free_memory() {
  std::size_t free = 0, total = 0;
  FEDSELECT_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

std::unique_ptr<ops::Ops> make_ops(int device) { return std::make_unique<CudaOps>(device); }

}  // namespace fedselect::cuda
