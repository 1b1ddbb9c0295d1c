// Element-wise ops on activations. Limited by memory: each value is read and written once.

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

__global__ void add_kernel(DeviceGroup group, std::size_t size, ConstValues x, Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * size;
  for (std::size_t i = first_element(); i < n; i += element_step()) y[g][i] += x[g][i];
}

__global__ void relu_forward_kernel(DeviceGroup group, std::size_t size, Values x) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * size;
  for (std::size_t i = first_element(); i < n; i += element_step())
    x[g][i] = x[g][i] < 0 ? 0 : x[g][i];  // a NaN stays one, so that divergence is seen
}

__global__ void relu_backward_kernel(DeviceGroup group, std::size_t size, ConstValues y,
                                     Values dy) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * size;
  for (std::size_t i = first_element(); i < n; i += element_step())
    dy[g][i] = y[g][i] > 0 ? dy[g][i] : 0;
}

}  // namespace

void CudaOps::add(const Group& group, std::size_t size, ConstValues x, Values y) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  FEDSELECT_CUDA(launch(add_kernel, grid_of(here.most * size, here.clients), kThreads, 0,
                        stream_.get(), here, size, x, y));
}

void CudaOps::relu_forward(const Group& group, std::size_t size, Values x) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  FEDSELECT_CUDA(launch(relu_forward_kernel, grid_of(here.most * size, here.clients), kThreads, 0,
                        stream_.get(), here, size, x));
}

void CudaOps::relu_backward(const Group& group, std::size_t size, ConstValues y, Values dy) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  FEDSELECT_CUDA(launch(relu_backward_kernel, grid_of(here.most * size, here.clients), kThreads, 0,
                        stream_.get(), here, size, y, dy));
}

}  // namespace fedselect::cuda
