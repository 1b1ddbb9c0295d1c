// Batches from the data set, and the order of channels. Limited by memory.

#include <vector>

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

struct Source {
  const std::uint8_t* pixels;
  const std::int32_t* labels;
  ImageShape image;
  const float* scale;  ///< per channel
  const float* offset;
};

__global__ void gather_kernel(DeviceGroup group, Source source, Grouped<const std::int32_t> indices,
                              Grouped<const Placement> placements, Values x,
                              Grouped<std::int32_t> y) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t size = source.image.size();
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * size;
  const int channels = source.image.channels;
  for (std::size_t i = first_element(); i < n; i += element_step()) {
    const std::size_t sample = i / size;
    const auto within = static_cast<int>(i % size);
    const std::int32_t index = indices[g][sample];
    if (within == 0) y[g][sample] = source.labels[index];
    const int c = within % channels;
    int row = within / channels / source.image.width;
    int column = within / channels % source.image.width;
    if (placements) {
      const Placement placement = placements[g][sample];
      if (placement.flip) column = source.image.width - 1 - column;
      row += placement.dy;
      column += placement.dx;
    }
    float pixel = 0;
    if (row >= 0 && row < source.image.height && column >= 0 && column < source.image.width)
      pixel =
          source
              .pixels[static_cast<std::size_t>(index) * size +
                      static_cast<std::size_t>((row * source.image.width + column) * channels + c)];
    x[g][i] = fmaf(pixel, source.scale[c], source.offset[c]);
  }
}

/// [rows][columns] -> [columns][rows] of each sample; a sample's reads are scattered, but stay in
/// the cache.
__global__ void transpose_kernel(DeviceGroup group, Divider rows, Divider size, int columns,
                                 ConstValues x, Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const int n = group.samples[g] * size.divisor();
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const int within = size.remainder(i);
    const int row = rows.remainder(within), column = rows.quotient(within);
    y[g][i] = x[g][i - within + row * columns + column];
  }
}

}  // namespace

void CudaOps::gather_batch(const Group& group, const SampleSource& source,
                           Grouped<const std::int32_t> indices, Grouped<const Placement> placements,
                           Values x, Grouped<std::int32_t> y) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  const auto channels = static_cast<std::size_t>(source.image.channels);
  std::vector<float> scale(channels), offset(channels);
  constexpr double kLargestPixel = 255;
  for (std::size_t c = 0; c < channels; ++c) {
    const double deviation = source.deviation[c];
    scale[c] = static_cast<float>(1 / (kLargestPixel * deviation));
    offset[c] = static_cast<float>(-source.mean[c] / deviation);
  }
  const Source placed{source.pixels, source.labels, source.image,
                      constant(std::span<const float>(scale)),
                      constant(std::span<const float>(offset))};
  const std::size_t most = static_cast<std::size_t>(here.most) * source.image.size();
  FEDSELECT_CUDA(launch(gather_kernel, grid_of(most, here.clients), kThreads, 0, stream_.get(),
                        here, placed, indices, placements, x, y));
}

void CudaOps::transpose(const Group& group, int rows, int columns, ConstValues x, Values y) {
  const DeviceGroup here = on_device(group);
  const int size = rows * columns;
  if (here.most == 0 || size == 0) return;
  const int count = count_of(here, static_cast<std::size_t>(size));
  const dim3 grid = grid_of(static_cast<std::size_t>(count), here.clients);
  FEDSELECT_CUDA(launch(transpose_kernel, grid, kThreads, 0, stream_.get(), here, Divider(rows),
                        Divider(size), columns, x, y));
}

void CudaOps::channels_first(const Group& group, const ImageShape& shape, ConstValues x, Values y) {
  transpose(group, shape.height * shape.width, shape.channels, x, y);
}

void CudaOps::channels_last(const Group& group, const ImageShape& shape, ConstValues x, Values y) {
  transpose(group, shape.channels, shape.height * shape.width, x, y);
}

}  // namespace fedselect::cuda
