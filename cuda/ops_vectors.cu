// Element-wise ops on activations. Limited by memory: each value is read and written once.

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

struct Add {
  __device__ float operator()(float x, float y) const { return x + y; }
};
struct ReluForward {
  __device__ float operator()(float, float y) const { return y < 0 ? 0 : y; }  // a NaN stays one
};
struct ReluBackward {
  __device__ float operator()(float x, float dy) const { return x > 0 ? dy : 0; }
};

/// y <- map(x, y), 16 bytes at a time if they can be read so; x null: not needed.
template <class Map>
__global__ void map_kernel(DeviceGroup group, std::size_t size, bool in_quads, ConstValues x,
                           Values y, Map map) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * size;
  const std::size_t quads = in_quads ? n / kQuad : 0;
  for (std::size_t q = first_element(); q < quads; q += element_step()) {
    const float4 a = x ? load4(x[g] + q * kQuad) : float4{};
    const float4 b = load4(y[g] + q * kQuad);
    store4(y[g] + q * kQuad, {map(a.x, b.x), map(a.y, b.y), map(a.z, b.z), map(a.w, b.w)});
  }
  for (std::size_t i = quads * kQuad + first_element(); i < n; i += element_step())
    y[g][i] = map(x ? x[g][i] : 0, y[g][i]);
}

template <class Map>
[[nodiscard]] cudaError_t launch_map(const DeviceGroup& group, std::size_t size, ConstValues x,
                                     Values y, cudaStream_t stream) {
  const bool in_quads = is_aligned(x) && is_aligned(y);
  const dim3 grid =
      grid_of(static_cast<std::size_t>(group.most) * size, group.clients, in_quads ? kQuad : 1);
  return launch(map_kernel<Map>, grid, kThreads, 0, stream, group, size, in_quads, x, y, Map{});
}

}  // namespace

void CudaOps::add(const Group& group, std::size_t size, ConstValues x, Values y) {
  const DeviceGroup here = on_device(group);
  if (here.most != 0) FEDSELECT_CUDA(launch_map<Add>(here, size, x, y, stream_.get()));
}

void CudaOps::relu_forward(const Group& group, std::size_t size, Values x) {
  const DeviceGroup here = on_device(group);
  if (here.most != 0) FEDSELECT_CUDA(launch_map<ReluForward>(here, size, {}, x, stream_.get()));
}

void CudaOps::relu_backward(const Group& group, std::size_t size, ConstValues y, Values dy) {
  const DeviceGroup here = on_device(group);
  if (here.most != 0) FEDSELECT_CUDA(launch_map<ReluBackward>(here, size, y, dy, stream_.get()));
}

}  // namespace fedselect::cuda
