// Convolutions by implicit_gemm.hpp. Images are channels-last; weights [out][in][kernel][kernel]
// are first repacked so that threads side by side read values side by side.

#include "cuda_ops.hpp"
#include "implicit_gemm.hpp"

namespace fedselect::cuda {
namespace {

/// Rows that a part of a weight gradient adds up: parts are worked out side by side, then added in
/// their order. Depends on nothing, so that a client's result does not either.
constexpr int kPartRows = 2048;

/// The pixel of an image that a kernel's cell sees from an output pixel.
struct Window {
  ConvShape shape;
  ImageShape out;

  explicit Window(const ConvShape& s) : shape(s), out(s.out()) {}

  /// x's value at output pixel `row` (of the batch), cell and channel `k` = (i, j, c); 0 outside.
  __device__ __forceinline__ float image(const float* x, int row, int k) const {
    const int c = k % shape.in.channels, cell = k / shape.in.channels;
    const int pixel = row % (out.height * out.width), n = row / (out.height * out.width);
    const int h = pixel / out.width * shape.stride + cell / shape.kernel - shape.padding;
    const int w = pixel % out.width * shape.stride + cell % shape.kernel - shape.padding;
    if (h < 0 || h >= shape.in.height || w < 0 || w >= shape.in.width) return 0;
    return x[(static_cast<std::ptrdiff_t>(n * shape.in.height + h) * shape.in.width + w) *
                 shape.in.channels +
             c];
  }
  /// dy's value at the output pixel that sees input pixel `row` through the cell of `k` = (i, j,
  /// o); 0 if none does.
  __device__ __forceinline__ float gradient(const float* dy, int row, int k) const {
    const int o = k % shape.out_channels, cell = k / shape.out_channels;
    const int pixel = row % (shape.in.height * shape.in.width);
    const int n = row / (shape.in.height * shape.in.width);
    const int h = pixel / shape.in.width + shape.padding - cell / shape.kernel;
    const int w = pixel % shape.in.width + shape.padding - cell % shape.kernel;
    if (h < 0 || w < 0 || h % shape.stride != 0 || w % shape.stride != 0) return 0;
    const int oh = h / shape.stride, ow = w / shape.stride;
    if (oh >= out.height || ow >= out.width) return 0;
    return dy[(static_cast<std::ptrdiff_t>(n * out.height + oh) * out.width + ow) *
                  shape.out_channels +
              o];
  }
  __host__ __device__ int out_pixels() const { return out.height * out.width; }
  __host__ __device__ int in_pixels() const { return shape.in.height * shape.in.width; }
  __host__ __device__ int cells() const { return shape.kernel * shape.kernel; }
};

/// y[pixel][o] = sum over (i, j, c) of x w[(i, j, c)][o], + bias.
struct Forward {
  static constexpr bool kRowsAreNear = false;
  Window window;
  ConstValues x;
  Values packed;
  ConstValues bias;
  Values y;

  __device__ int rows(int samples, int) const { return samples * window.out_pixels(); }
  __device__ int columns() const { return window.shape.out_channels; }
  __device__ int depth(int, int) const { return window.cells() * window.shape.in.channels; }
  __device__ float a(int g, int, int row, int k) const { return window.image(x[g], row, k); }
  __device__ float b(int g, int, int k, int o) const { return packed[g][k * columns() + o]; }
  __device__ void store(int g, int, int row, int o, float value) const {
    y[g][static_cast<std::ptrdiff_t>(row) * columns() + o] = bias ? value + bias[g][o] : value;
  }
};

/// dx[pixel][c] = sum over (i, j, o) of dy w[(i, j, o)][c].
struct ByInput {
  static constexpr bool kRowsAreNear = false;
  Window window;
  ConstValues dy;
  Values packed;
  Values dx;

  __device__ int rows(int samples, int) const { return samples * window.in_pixels(); }
  __device__ int columns() const { return window.shape.in.channels; }
  __device__ int depth(int, int) const { return window.cells() * window.shape.out_channels; }
  __device__ float a(int g, int, int row, int k) const { return window.gradient(dy[g], row, k); }
  __device__ float b(int g, int, int k, int c) const { return packed[g][k * columns() + c]; }
  __device__ void store(int g, int, int row, int c, float value) const {
    dx[g][static_cast<std::ptrdiff_t>(row) * columns() + c] = value;
  }
};

/// partial[part][(i, j, c)][o] = sum over the part's output pixels of x dy.
struct ByWeight {
  static constexpr bool kRowsAreNear = true;
  Window window;
  ConstValues x;
  ConstValues dy;
  Values partial;

  __device__ int rows(int, int) const { return window.cells() * window.shape.in.channels; }
  __device__ int columns() const { return window.shape.out_channels; }
  __device__ int depth(int samples, int part) const {
    return min(samples * window.out_pixels() - part * kPartRows, kPartRows);
  }
  __device__ float a(int g, int part, int row, int k) const {
    return window.image(x[g], part * kPartRows + k, row);
  }
  __device__ float b(int g, int part, int k, int o) const {
    return dy[g][static_cast<std::ptrdiff_t>(part * kPartRows + k) * columns() + o];
  }
  __device__ void store(int g, int part, int row, int o, float value) const {
    partial[g][static_cast<std::ptrdiff_t>(part * rows(0, 0) + row) * columns() + o] = value;
  }
};

/// packed[(cell, inner)][outer] = weight, whose inner and outer channels are [in] and [out] or the
/// other way round. Limited by memory, small.
__global__ void pack_kernel(DeviceGroup group, ConvShape shape, bool out_is_inner,
                            ConstValues weight, Values packed) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const int cells = shape.kernel * shape.kernel;
  const int outer = out_is_inner ? shape.in.channels : shape.out_channels;
  const int inner = out_is_inner ? shape.out_channels : shape.in.channels;
  const auto n = static_cast<int>(shape.weights());
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const int far = i % outer, near = i / outer % inner, cell = i / outer / inner;
    const int o = out_is_inner ? near : far, c = out_is_inner ? far : near;
    packed[g][i] = weight[g][(o * shape.in.channels + c) * cells + cell];
  }
}

/// dweight[out][in][cell] = sum over the parts, in their order.
__global__ void add_parts_kernel(DeviceGroup group, ConvShape shape, ConstValues partial,
                                 Values dweight) {
  const int g = static_cast<int>(blockIdx.y);
  const int samples = group.samples[g];
  if (samples == 0) return;
  const int cells = shape.kernel * shape.kernel;
  const auto n = static_cast<int>(shape.weights());
  const ImageShape out = shape.out();
  const int parts = (samples * out.height * out.width + kPartRows - 1) / kPartRows;
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const int o = i % shape.out_channels, c = i / shape.out_channels % shape.in.channels;
    const int cell = i / shape.out_channels / shape.in.channels;
    float sum = 0;
    for (int p = 0; p < parts; ++p) sum += partial[g][static_cast<std::ptrdiff_t>(p) * n + i];
    dweight[g][(o * shape.in.channels + c) * cells + cell] = sum;
  }
}

/// dbias[o] = sum over the output pixels: 8 rows of threads take every eighth, then are added.
__global__ void bias_kernel(DeviceGroup group, int pixels, int channels, ConstValues dy,
                            Values dbias) {
  constexpr int kLanes = kThreads / kWarp;
  __shared__ float sums[kThreads];
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const int o = static_cast<int>(blockIdx.x) * kWarp + static_cast<int>(threadIdx.x) % kWarp;
  const int rows = group.samples[g] * pixels;
  float sum = 0;
  if (o < channels)
    for (int row = static_cast<int>(threadIdx.x) / kWarp; row < rows; row += kLanes)
      sum += dy[g][static_cast<std::ptrdiff_t>(row) * channels + o];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= kWarp || o >= channels) return;
  float total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += sums[lane * kWarp + threadIdx.x];
  dbias[g][o] = total;
}

unsigned tiles(int rows, int columns) {
  return static_cast<unsigned>((rows + kTile - 1) / kTile * ((columns + kTile - 1) / kTile));
}

}  // namespace

/// The weights of all clients in scratch memory, outer channels last.
Values CudaOps::pack_weights(Arena::Frame& frame, const DeviceGroup& here, const ConvShape& shape,
                             bool out_is_inner, ConstValues weight) {
  const std::size_t size = shape.weights();
  const Values packed{frame.take<float>(size * static_cast<std::size_t>(here.clients)),
                      static_cast<std::ptrdiff_t>(size)};
  FEDSELECT_CUDA(launch(pack_kernel, grid_of(size, here.clients), kThreads, 0, stream_.get(), here,
                        shape, out_is_inner, weight, packed));
  return packed;
}

void CudaOps::conv_forward(const Group& group, const ConvShape& shape, ConstValues x,
                           ConstValues weight, ConstValues bias, Values y) {
  const DeviceGroup here = on_device(group);
  const Window window(shape);
  if (here.most == 0 || window.out_pixels() == 0) return;
  Arena::Frame frame(arena_);
  const Forward problem{window, x, pack_weights(frame, here, shape, false, weight), bias, y};
  const dim3 grid(tiles(here.most * window.out_pixels(), shape.out_channels),
                  static_cast<unsigned>(here.clients));
  FEDSELECT_CUDA(
      launch(implicit_gemm<Forward>, grid, kThreads, kTileBytes, stream_.get(), here, problem));
}

void CudaOps::conv_backward(const Group& group, const ConvShape& shape, ConstValues x,
                            ConstValues weight, ConstValues dy, Values dx, Values dweight,
                            Values dbias) {
  const DeviceGroup here = on_device(group);
  const Window window(shape);
  if (here.most == 0 || window.out_pixels() == 0) return;
  const auto clients = static_cast<unsigned>(here.clients);
  Arena::Frame frame(arena_);
  if (dx) {
    const ByInput problem{window, dy, pack_weights(frame, here, shape, true, weight), dx};
    const dim3 grid(tiles(here.most * window.in_pixels(), shape.in.channels), clients);
    FEDSELECT_CUDA(
        launch(implicit_gemm<ByInput>, grid, kThreads, kTileBytes, stream_.get(), here, problem));
  }
  if (dweight) {
    const int parts = (here.most * window.out_pixels() + kPartRows - 1) / kPartRows;
    const std::size_t size = static_cast<std::size_t>(parts) * shape.weights();
    const Values partial{frame.take<float>(size * clients), static_cast<std::ptrdiff_t>(size)};
    const dim3 grid(tiles(window.cells() * shape.in.channels, shape.out_channels), clients,
                    static_cast<unsigned>(parts));
    FEDSELECT_CUDA(launch(implicit_gemm<ByWeight>, grid, kThreads, kTileBytes, stream_.get(), here,
                          ByWeight{window, x, dy, partial}));
    FEDSELECT_CUDA(launch(add_parts_kernel, grid_of(shape.weights(), here.clients), kThreads, 0,
                          stream_.get(), here, shape, partial, dweight));
  }
  if (dbias) {
    const dim3 grid(static_cast<unsigned>((shape.out_channels + kWarp - 1) / kWarp), clients);
    FEDSELECT_CUDA(launch(bias_kernel, grid, kThreads, 0, stream_.get(), here, window.out_pixels(),
                          shape.out_channels, dy, dbias));
  }
}

}  // namespace fedselect::cuda
