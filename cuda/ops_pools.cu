// Pooling. Limited by memory. Gradients are gathered: a thread adds up what its input receives, so
// nothing meets.

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

/// Where a value lies in a batch of images.
__device__ __forceinline__ int index_of(const ImageShape& image, int sample, int row, int column,
                                        int channel) {
  return ((sample * image.height + row) * image.width + column) * image.channels + channel;
}

/// Images, some channels of a pixel at a time: what the i-th such piece of a batch is.
struct Pieces {
  struct Place {
    int sample, row, column, channel;
  };
  int width;  ///< channels of a piece
  Divider of_pixel, columns, rows;

  Pieces(const ImageShape& image, int wide)
      : width(wide), of_pixel(image.channels / wide), columns(image.width), rows(image.height) {}

  __device__ __forceinline__ int count(int samples) const {
    return samples * rows.divisor() * columns.divisor() * of_pixel.divisor();
  }
  __device__ __forceinline__ Place place(int i) const {
    const int pixel = of_pixel.quotient(i), line = columns.quotient(pixel);
    return {rows.quotient(line), rows.remainder(line), columns.remainder(pixel),
            of_pixel.remainder(i) * width};
  }
};

template <int kWide>
__global__ void max_forward_kernel(DeviceGroup group, PoolShape shape, Pieces out, ConstValues x,
                                   Values y, Grouped<std::uint8_t> argmax) {
  const int g = static_cast<int>(blockIdx.y);
  const int n = out.count(group.samples[g]);
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const Pieces::Place at = out.place(i);
    const int row0 = at.row * shape.step() - shape.padding;
    const int column0 = at.column * shape.step() - shape.padding;
    Wide<float, kWide> best{};
    Wide<std::uint8_t, kWide> winner{};
    bool any = false;
    for (int h = 0; h < shape.window; ++h)
      for (int w = 0; w < shape.window; ++w) {
        const int row = row0 + h, column = column0 + w;
        if (row < 0 || row >= shape.in.height || column < 0 || column >= shape.in.width) continue;
        const auto value =
            wide<kWide>(x[g] + index_of(shape.in, at.sample, row, column, at.channel));
        for (int c = 0; c < kWide; ++c)
          if (!any || value.values[c] > best.values[c]) {
            best.values[c] = value.values[c];
            winner.values[c] = static_cast<std::uint8_t>(h * shape.window + w);
          }
        any = true;
      }
    wide<kWide>(y[g] + i * kWide) = best;
    wide<kWide>(argmax[g] + i * kWide) = winner;
  }
}

template <int kWide>
__global__ void max_backward_kernel(DeviceGroup group, PoolShape shape, ImageShape out, Pieces in,
                                    Divider step, ConstValues dy,
                                    Grouped<const std::uint8_t> argmax, Values dx) {
  const int g = static_cast<int>(blockIdx.y);
  const int n = in.count(group.samples[g]);
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const Pieces::Place at = in.place(i);
    const int row = at.row + shape.padding, column = at.column + shape.padding;
    const int first_row = row < shape.window ? 0 : step.quotient(row - shape.window) + 1;
    const int first_column = column < shape.window ? 0 : step.quotient(column - shape.window) + 1;
    Wide<float, kWide> sum{};
    for (int h = first_row; h < out.height && h * step.divisor() <= row; ++h)
      for (int w = first_column; w < out.width && w * step.divisor() <= column; ++w) {
        const int window = index_of(out, at.sample, h, w, at.channel);
        const int cell = (row - h * step.divisor()) * shape.window + column - w * step.divisor();
        const auto winner = wide<kWide>(argmax[g] + window);
        const auto gradient = wide<kWide>(dy[g] + window);
        for (int c = 0; c < kWide; ++c)
          if (winner.values[c] == cell) sum.values[c] += gradient.values[c];
      }
    wide<kWide>(dx[g] + i * kWide) = sum;
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
  if (here.most == 0 || shape.out().size() == 0) return;
  const int wide =
      shape.in.channels % kQuad == 0 && is_aligned(x) && is_aligned(y) && is_aligned(argmax) ? kQuad
                                                                                             : 1;
  count_of(here, shape.in.size());
  const auto count = static_cast<std::size_t>(count_of(here, shape.out().size()));
  FEDSELECT_CUDA(launch(wide == kQuad ? max_forward_kernel<kQuad> : max_forward_kernel<1>,
                        grid_of(count, here.clients, wide), kThreads, 0, stream_.get(), here, shape,
                        Pieces(shape.out(), wide), x, y, argmax));
}

void CudaOps::max_pool_backward(const Group& group, const PoolShape& shape, ConstValues dy,
                                Grouped<const std::uint8_t> argmax, Values dx) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || shape.in.size() == 0) return;
  const int wide =
      shape.in.channels % kQuad == 0 && is_aligned(dx) && is_aligned(dy) && is_aligned(argmax)
          ? kQuad
          : 1;
  const auto count = static_cast<std::size_t>(count_of(here, shape.in.size()));
  FEDSELECT_CUDA(launch(wide == kQuad ? max_backward_kernel<kQuad> : max_backward_kernel<1>,
                        grid_of(count, here.clients, wide), kThreads, 0, stream_.get(), here, shape,
                        shape.out(), Pieces(shape.in, wide), Divider(shape.step()), dy, argmax,
                        dx));
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
