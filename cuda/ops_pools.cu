// Pooling. Limited by memory. Gradients are gathered: a thread adds up what its input receives, so
// nothing meets.

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

/// A value's place in a batch of images.
struct Place {
  std::size_t sample;
  int row, column, channel;
};

__device__ __forceinline__ Place place_of(const ImageShape& image, std::size_t i) {
  const auto channels = static_cast<std::size_t>(image.channels);
  const auto width = static_cast<std::size_t>(image.width);
  const auto height = static_cast<std::size_t>(image.height);
  const std::size_t pixel = i / channels;
  return {pixel / width / height, static_cast<int>(pixel / width % height),
          static_cast<int>(pixel % width), static_cast<int>(i % channels)};
}

__device__ __forceinline__ std::size_t index_of(const ImageShape& image, const Place& p) {
  return ((p.sample * static_cast<std::size_t>(image.height) + static_cast<std::size_t>(p.row)) *
              static_cast<std::size_t>(image.width) +
          static_cast<std::size_t>(p.column)) *
             static_cast<std::size_t>(image.channels) +
         static_cast<std::size_t>(p.channel);
}

__global__ void max_forward_kernel(DeviceGroup group, PoolShape shape, ConstValues x, Values y,
                                   Grouped<std::uint8_t> argmax) {
  const int g = static_cast<int>(blockIdx.y);
  const ImageShape out = shape.out();
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * out.size();
  for (std::size_t i = first_element(); i < n; i += element_step()) {
    const Place at = place_of(out, i);
    bool any = false;
    float best = 0;
    int winner = 0;
    for (int cell = 0; cell < shape.window * shape.window; ++cell) {
      const int row = at.row * shape.step() - shape.padding + cell / shape.window;
      const int column = at.column * shape.step() - shape.padding + cell % shape.window;
      if (row < 0 || row >= shape.in.height || column < 0 || column >= shape.in.width) continue;
      const float value = x[g][index_of(shape.in, {at.sample, row, column, at.channel})];
      if (any && !(value > best)) continue;
      any = true;
      best = value;
      winner = cell;
    }
    y[g][i] = best;
    argmax[g][i] = static_cast<std::uint8_t>(winner);
  }
}

__global__ void max_backward_kernel(DeviceGroup group, PoolShape shape, ConstValues dy,
                                    Grouped<const std::uint8_t> argmax, Values dx) {
  const int g = static_cast<int>(blockIdx.y);
  const ImageShape out = shape.out();
  const int step = shape.step();
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * shape.in.size();
  for (std::size_t i = first_element(); i < n; i += element_step()) {
    const Place at = place_of(shape.in, i);
    const int row = at.row + shape.padding, column = at.column + shape.padding;
    const int first_row = row < shape.window ? 0 : (row - shape.window) / step + 1;
    const int first_column = column < shape.window ? 0 : (column - shape.window) / step + 1;
    float sum = 0;
    for (int h = first_row; h < out.height && h * step <= row; ++h)
      for (int w = first_column; w < out.width && w * step <= column; ++w) {
        const std::size_t window = index_of(out, {at.sample, h, w, at.channel});
        const int cell = (row - h * step) * shape.window + column - w * step;
        if (argmax[g][window] == cell) sum += dy[g][window];
      }
    dx[g][i] = sum;
  }
}

__global__ void mean_forward_kernel(DeviceGroup group, ImageShape shape, ConstValues x, Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const auto channels = static_cast<std::size_t>(shape.channels);
  const auto pixels =
      static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * channels;
  for (std::size_t i = first_element(); i < n; i += element_step()) {
    const float* from = x[g] + i / channels * shape.size() + i % channels;
    float sum = 0;
    for (std::size_t p = 0; p < pixels; ++p) sum += from[p * channels];
    y[g][i] = sum / static_cast<float>(pixels);
  }
}

__global__ void mean_backward_kernel(DeviceGroup group, ImageShape shape, ConstValues dy,
                                     Values dx) {
  const int g = static_cast<int>(blockIdx.y);
  const auto channels = static_cast<std::size_t>(shape.channels);
  const float pixels = static_cast<float>(shape.height * shape.width);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * shape.size();
  for (std::size_t i = first_element(); i < n; i += element_step())
    dx[g][i] = dy[g][i / shape.size() * channels + i % channels] / pixels;
}

}  // namespace

void CudaOps::max_pool_forward(const Group& group, const PoolShape& shape, ConstValues x, Values y,
                               Grouped<std::uint8_t> argmax) {
  const DeviceGroup here = on_device(group);
  const std::size_t most = static_cast<std::size_t>(here.most) * shape.out().size();
  if (most == 0) return;
  FEDSELECT_CUDA(launch(max_forward_kernel, grid_of(most, here.clients), kThreads, 0, stream_.get(),
                        here, shape, x, y, argmax));
}

void CudaOps::max_pool_backward(const Group& group, const PoolShape& shape, ConstValues dy,
                                Grouped<const std::uint8_t> argmax, Values dx) {
  const DeviceGroup here = on_device(group);
  const std::size_t most = static_cast<std::size_t>(here.most) * shape.in.size();
  if (most == 0) return;
  FEDSELECT_CUDA(launch(max_backward_kernel, grid_of(most, here.clients), kThreads, 0,
                        stream_.get(), here, shape, dy, argmax, dx));
}

void CudaOps::mean_pool_forward(const Group& group, const ImageShape& shape, ConstValues x,
                                Values y) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  const auto most = static_cast<std::size_t>(here.most) * static_cast<std::size_t>(shape.channels);
  FEDSELECT_CUDA(launch(mean_forward_kernel, grid_of(most, here.clients), kThreads, 0,
                        stream_.get(), here, shape, x, y));
}

void CudaOps::mean_pool_backward(const Group& group, const ImageShape& shape, ConstValues dy,
                                 Values dx) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  const std::size_t most = static_cast<std::size_t>(here.most) * shape.size();
  FEDSELECT_CUDA(launch(mean_backward_kernel, grid_of(most, here.clients), kThreads, 0,
                        stream_.get(), here, shape, dy, dx));
}

}  // namespace fedselect::cuda
