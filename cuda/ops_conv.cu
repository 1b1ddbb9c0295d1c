// Convolutions as products of tile_product.hpp. Images are channels-last; weights
// [out][in][kernel][kernel] are first repacked so that threads side by side read values side by
// side.

#include "cuda_ops.hpp"
#include "tile_product.hpp"

namespace fedselect::cuda {
namespace {

/// Output pixels that a part of a weight gradient adds up: parts are worked out side by side, then
/// added in their order. Depends on nothing, so that a client's result does not either.
constexpr int kPartPixels = 1024;
constexpr int kUnparted = 1 << 30;

/// A convolution's numbers as threads divide by them.
struct Window {
  ConvShape shape;
  ImageShape out;
  Divider kernel, stride, in_channels, out_channels, in_width, out_width, in_pixels, out_pixels;

  explicit Window(const ConvShape& s)
      : shape(s),
        out(s.out()),
        kernel(s.kernel),
        stride(s.stride),
        in_channels(s.in.channels),
        out_channels(s.out_channels),
        in_width(s.in.width),
        out_width(out.width),
        in_pixels(s.in.height * s.in.width),
        out_pixels(out.height * out.width) {}

  __host__ __device__ int cells() const { return shape.kernel * shape.kernel; }
  __host__ __device__ int inputs() const { return cells() * shape.in.channels; }
  __host__ __device__ int of_out(int samples) const { return samples * out.height * out.width; }
  __host__ __device__ int of_in(int samples) const {
    return samples * shape.in.height * shape.in.width;
  }
};

/// Reads four neighbours, at once if they are of one pixel; value(j) is the j-th.
template <class Value>
__device__ __forceinline__ float4 four(const Value& value) {
  return {value(0), value(1), value(2), value(3)};
}

__device__ __forceinline__ bool within(const ImageShape& image, int row, int column) {
  return row >= 0 && row < image.height && column >= 0 && column < image.width;
}

/// Entries: output pixels of the batch; k = (i, j, c): the input that the kernel's cell sees there.
struct Seen {
  static constexpr bool kAlongDepth = true;
  struct Place {
    const float* image;  ///< null outside
    int row, column;     ///< that the kernel's first cell sees
  };
  Window window;
  ConstValues x;
  bool in_quads;

  Seen(const Window& w, ConstValues values)
      : window(w), x(values), in_quads(w.shape.in.channels % kQuad == 0 && is_aligned(values)) {}

  __device__ __forceinline__ Place place(int g, int entry, int entries) const {
    if (entry >= entries) return {};
    const int sample = window.out_pixels.quotient(entry);
    const int pixel = window.out_pixels.remainder(entry);
    const ConvShape& s = window.shape;
    return {x[g] + static_cast<std::ptrdiff_t>(sample) * static_cast<std::ptrdiff_t>(s.in.size()),
            window.out_width.quotient(pixel) * s.stride - s.padding,
            window.out_width.remainder(pixel) * s.stride - s.padding};
  }
  __device__ __forceinline__ const float* at(const Place& place, int k) const {
    const int cell = window.in_channels.quotient(k);
    const int row = place.row + window.kernel.quotient(cell);
    const int column = place.column + window.kernel.remainder(cell);
    const ImageShape& in = window.shape.in;
    if (!within(in, row, column)) return nullptr;
    return place.image + (row * in.width + column) * in.channels + window.in_channels.remainder(k);
  }
  __device__ __forceinline__ float4 quad(const Place& place, int k, int end) const {
    if (place.image == nullptr || k >= end) return {};
    if (in_quads) {
      const float* values = at(place, k);
      return values != nullptr ? load4(values) : float4{};
    }
    return four([&](int j) {
      const float* value = k + j < end ? at(place, k + j) : nullptr;
      return value != nullptr ? *value : 0;
    });
  }
};

/// Entries: input pixels of the batch; k = (i, j, o): the gradient of the output whose window has
/// the input in that cell.
struct SeenBy {
  static constexpr bool kAlongDepth = true;
  using Place = Seen::Place;
  Window window;
  ConstValues dy;
  bool in_quads;

  SeenBy(const Window& w, ConstValues values)
      : window(w), dy(values), in_quads(w.shape.out_channels % kQuad == 0 && is_aligned(values)) {}

  __device__ __forceinline__ Place place(int g, int entry, int entries) const {
    if (entry >= entries) return {};
    const int sample = window.in_pixels.quotient(entry);
    const int pixel = window.in_pixels.remainder(entry);
    const auto size = static_cast<std::ptrdiff_t>(window.out.size());
    return {dy[g] + sample * size, window.in_width.quotient(pixel) + window.shape.padding,
            window.in_width.remainder(pixel) + window.shape.padding};
  }
  __device__ __forceinline__ const float* at(const Place& place, int k) const {
    const int cell = window.out_channels.quotient(k);
    const int row = place.row - window.kernel.quotient(cell);
    const int column = place.column - window.kernel.remainder(cell);
    if (row < 0 || column < 0) return nullptr;
    const int out_row = window.stride.quotient(row), out_column = window.stride.quotient(column);
    const int stride = window.shape.stride;
    if (out_row * stride != row || out_column * stride != column ||
        !within(window.out, out_row, out_column))
      return nullptr;
    return place.image + (out_row * window.out.width + out_column) * window.out.channels +
           window.out_channels.remainder(k);
  }
  __device__ __forceinline__ float4 quad(const Place& place, int k, int end) const {
    if (place.image == nullptr || k >= end) return {};
    if (in_quads) {
      const float* values = at(place, k);
      return values != nullptr ? load4(values) : float4{};
    }
    return four([&](int j) {
      const float* value = k + j < end ? at(place, k + j) : nullptr;
      return value != nullptr ? *value : 0;
    });
  }
};

/// Entries: (i, j, c), and one more that is 1 for all k, by which the gradient of the bias is added
/// up; k: output pixels of the batch.
struct SeenByCell {
  static constexpr bool kAlongDepth = false;
  struct Place {
    const float* images;  ///< null outside
    int entry;
  };
  Window window;
  ConstValues x;
  bool in_quads;

  SeenByCell(const Window& w, ConstValues values)
      : window(w), x(values), in_quads(w.shape.in.channels % kQuad == 0 && is_aligned(values)) {}

  __device__ __forceinline__ Place place(int g, int entry, int entries) const {
    return {entry < entries ? x[g] : nullptr, entry};
  }
  __device__ __forceinline__ float4 quad(const Place& place, int k, int end) const {
    if (place.images == nullptr || k >= end) return {};
    if (place.entry == window.inputs()) return {1, 0, 0, 0};
    const ConvShape& s = window.shape;
    const int sample = window.out_pixels.quotient(k), pixel = window.out_pixels.remainder(k);
    const float* image = place.images + static_cast<std::ptrdiff_t>(sample) *
                                            static_cast<std::ptrdiff_t>(s.in.size());
    const int row = window.out_width.quotient(pixel) * s.stride - s.padding;
    const int column = window.out_width.remainder(pixel) * s.stride - s.padding;
    const auto at = [&](int entry) -> const float* {
      const int cell = window.in_channels.quotient(entry);
      const int r = row + window.kernel.quotient(cell);
      const int c = column + window.kernel.remainder(cell);
      if (!within(s.in, r, c)) return nullptr;
      return image + (r * s.in.width + c) * s.in.channels + window.in_channels.remainder(entry);
    };
    if (in_quads) {
      const float* values = at(place.entry);
      return values != nullptr ? load4(values) : float4{};
    }
    return four([&](int j) {
      const int entry = place.entry + j;
      if (entry >= window.inputs()) return entry == window.inputs() ? 1.0F : 0.0F;
      const float* value = at(entry);
      return value != nullptr ? *value : 0;
    });
  }
};

/// y[pixel][o] = sum over (i, j, c) of x w[(i, j, c)][o], + bias.
struct Forward {
  static constexpr int kPartDepth = kUnparted;
  static constexpr bool kAlongRows = false;
  Seen a;
  Matrix<false> b;  ///< packed weights
  ConstValues bias;
  Values y;

  __host__ __device__ Extent extent(int samples) const {
    return {a.window.of_out(samples), a.window.out.channels, a.window.inputs()};
  }
  __device__ void store(int g, int, int row, int o, float4 v, int count) const {
    if (bias) {
      const float* add = bias[g] + o;
      v = {v.x + add[0], v.y + (count > 1 ? add[1] : 0), v.z + (count > 2 ? add[2] : 0),
           v.w + (count > 3 ? add[3] : 0)};
    }
    put(y[g] + static_cast<std::ptrdiff_t>(row) * a.window.out.channels + o, v, count);
  }
};

/// dx[pixel][c] = sum over (i, j, o) of dy w[(i, j, o)][c].
struct ByInput {
  static constexpr int kPartDepth = kUnparted;
  static constexpr bool kAlongRows = false;
  SeenBy a;
  Matrix<false> b;  ///< packed weights
  Values dx;

  __host__ __device__ Extent extent(int samples) const {
    return {a.window.of_in(samples), a.window.shape.in.channels,
            a.window.cells() * a.window.out.channels};
  }
  __device__ void store(int g, int, int row, int c, float4 v, int count) const {
    put(dx[g] + static_cast<std::ptrdiff_t>(row) * a.window.shape.in.channels + c, v, count);
  }
};

/// partial[part][(i, j, c)][o] = sum over the part's output pixels of x dy; a last row is the sum
/// of dy.
struct ByWeight {
  static constexpr int kPartDepth = kPartPixels;
  static constexpr bool kAlongRows = false;
  SeenByCell a;
  Matrix<false> b;  ///< dy
  Values partial;

  __host__ __device__ Extent extent(int samples) const {
    return {a.window.inputs() + 1, a.window.out.channels, a.window.of_out(samples)};
  }
  __device__ void store(int g, int part, int row, int o, float4 v, int count) const {
    const std::ptrdiff_t rows = a.window.inputs() + 1;
    put(partial[g] + (part * rows + row) * a.window.out.channels + o, v, count);
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

/// dweight[out][in][cell] = sum over the parts, in their order, and so dbias; null: not wanted.
__global__ void add_parts_kernel(DeviceGroup group, Window window, ConstValues partial,
                                 Values dweight, Values dbias) {
  const int g = static_cast<int>(blockIdx.y);
  const int samples = group.samples[g];
  if (samples == 0) return;
  const ConvShape& shape = window.shape;
  const int weights = window.inputs() * shape.out_channels, all = weights + shape.out_channels;
  const int parts = parts_of<ByWeight>(window.of_out(samples));
  for (int i = static_cast<int>(first_element()); i < all; i += static_cast<int>(element_step())) {
    const int row = window.out_channels.quotient(i), o = window.out_channels.remainder(i);
    const int cell = window.in_channels.quotient(row), c = window.in_channels.remainder(row);
    float sum = 0;
    for (int p = 0; p < parts; ++p) sum += partial[g][static_cast<std::ptrdiff_t>(p) * all + i];
    if (i >= weights) {
      if (dbias) dbias[g][o] = sum;
    } else if (dweight) {
      dweight[g][(o * shape.in.channels + c) * window.cells() + cell] = sum;
    }
  }
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
  if (here.most == 0 || shape.out().size() == 0) return;
  Arena::Frame frame(arena_);
  const Matrix<false> packed(pack_weights(frame, here, shape, false, weight), shape.out_channels);
  FEDSELECT_CUDA(launch_product(
      here, Forward{Seen(Window(shape), x), packed, bias, y}, stream_.get()));
}

void CudaOps::conv_backward(const Group& group, const ConvShape& shape, ConstValues x,
                            ConstValues weight, ConstValues dy, Values dx, Values dweight,
                            Values dbias) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || shape.out().size() == 0) return;
  const Window window(shape);
  Arena::Frame frame(arena_);
  if (dx) {
    const Matrix<false> packed(pack_weights(frame, here, shape, true, weight), shape.in.channels);
    FEDSELECT_CUDA(launch_product(here, ByInput{SeenBy(window, dy), packed, dx}, stream_.get()));
  }
  if (dweight || dbias) {
    const int channels = shape.out_channels;
    const auto parts = static_cast<std::size_t>(parts_of<ByWeight>(window.of_out(here.most)));
    const std::size_t values = shape.weights() + static_cast<std::size_t>(channels);
    const Values partial{
        frame.take<float>(parts * values * static_cast<std::size_t>(here.clients)),
        static_cast<std::ptrdiff_t>(parts * values)};
    FEDSELECT_CUDA(launch_product(
        here, ByWeight{SeenByCell(window, x), Matrix<false>(dy, channels), partial},
        stream_.get()));
    FEDSELECT_CUDA(launch(add_parts_kernel, grid_of(values, here.clients), kThreads, 0,
                          stream_.get(), here, window, partial, dweight, dbias));
  }
}

}  // namespace fedselect::cuda
