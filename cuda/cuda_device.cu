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
  cudaError_t code = cudaSetDevice(device);
  const bool is_open = code == cudaSuccess;
  cudaFuncAttributes attributes{};
  if (is_open)
    code = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(probe_kernel));
  if (code == cudaSuccess) return {};
  cudaGetLastError();  // forgets it
  const std::string error = std::string(cudaGetErrorName(code)) + ", " + cudaGetErrorString(code);
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess)
    return "GPU " + std::to_string(device) + ": " + error;
  const std::string architecture =
      std::to_string(properties.major) + std::to_string(properties.minor);
  const bool lacks_code =
      code == cudaErrorNoKernelImageForDevice || code == cudaErrorInvalidDeviceFunction;
  return std::string(properties.name) + " (sm_" + architecture + ", number " +
         std::to_string(device) + ")" + (is_open ? "" : " can't be opened") + ": " + error +
         (lacks_code ? "; build with -DCMAKE_CUDA_ARCHITECTURES=" + architecture + ", 75 at least"
                     : "");
}

std::string bus_id(int device) {
  std::array<char, 32> id{};
  FEDSELECT_CUDA(cudaDeviceGetPCIBusId(id.data(), static_cast<int>(id.size()), device));
  return id.data();
}

std::string uuid(int device) {
  cudaDeviceProp properties{};
  FEDSELECT_CUDA(cudaGetDeviceProperties(&properties, device));
  std::string digits;
  for (const char byte : properties.uuid.bytes)
    for (const int shift : {4, 0}) digits += "0123456789abcdef"[(byte >> shift) & 0xF];
  return digits;
}

std::size_t free_memory() {
  std::size_t free = 0, total = 0;
  FEDSELECT_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

std::unique_ptr<ops::Ops> make_ops(int device) { return std::make_unique<CudaOps>(device); }

}  // namespace fedselect::cuda
