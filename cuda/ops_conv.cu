// Convolutions as products of tile_product.hpp. Images are channels-last; weights
// [out][in][kernel][kernel] are first repacked so that threads side by side read values side by
// side.

#include <algorithm>
#include <type_traits>

#include "cuda_ops.hpp"
#include "tile_product.hpp"

namespace fedselect::cuda {
namespace {

/// Output pixels that a part of a weight gradient adds up: parts are worked out side by side, then
/// added in their order. Depends on nothing, so that a client's result does not either.
constexpr int kPartPixels = 1024;

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

/// A pixel of the batch, or a cell of the kernel with a channel: their sum is a place in an image.
struct Spot {
  int row, column;
  int offset;  ///< of the image in the batch; the channel
};
constexpr int kFar = -(1 << 21);  ///< a row outside of every image, whatever is added
constexpr int kOnes = 1 << 20;    ///< the same, where the value is 1 all the same

/// Four neighbouring channels; only the first counts where all are of one cell.
struct Cells {
  Spot spots[kQuad];
};

/// What output pixels see of the inputs: cell (i, j, c), and one more that is 1 everywhere, by
/// which the gradient of the bias is added up.
struct Inputs {
  static constexpr bool kAreStrided = false;
  __device__ __forceinline__ static ImageShape image(const Window& w) { return w.shape.in; }
  __device__ __forceinline__ static Spot pixel(const Window& w, int n) {
    const int pixel = w.out_pixels.remainder(n), stride = w.shape.stride;
    return {w.out_width.quotient(pixel) * stride - w.shape.padding,
            w.out_width.remainder(pixel) * stride - w.shape.padding,
            w.out_pixels.quotient(n) * static_cast<int>(w.shape.in.size())};
  }
  __device__ __forceinline__ static Spot cell(const Window& w, int n) {
    if (n == w.inputs()) return {kOnes, 0, 0};
    const int cell = w.in_channels.quotient(n);
    return {w.kernel.quotient(cell), w.kernel.remainder(cell), w.in_channels.remainder(n)};
  }
};

/// The outputs in whose windows input pixels are: in cell (i, j), of channel o.
struct Outputs {
  static constexpr bool kAreStrided = true;
  __device__ __forceinline__ static ImageShape image(const Window& w) { return w.out; }
  __device__ __forceinline__ static Spot pixel(const Window& w, int n) {
    const int pixel = w.in_pixels.remainder(n), padding = w.shape.padding;
    return {w.in_width.quotient(pixel) + padding, w.in_width.remainder(pixel) + padding,
            w.in_pixels.quotient(n) * static_cast<int>(w.out.size())};
  }
  __device__ __forceinline__ static Spot cell(const Window& w, int n) {
    const int cell = w.out_channels.quotient(n);
    return {-w.kernel.quotient(cell), -w.kernel.remainder(cell), w.out_channels.remainder(n)};
  }
};

/// Images as an operand. The entries are pixels and k cells, or the other way round.
template <class Seen, bool kPixelsAreEntries>
struct Images {
  static constexpr bool kAlongDepth = kPixelsAreEntries;

  Window window;
  ConstValues values;
  bool in_quads;

  Images(const Window& w, ConstValues images, int channels)
      : window(w), values(images), in_quads(channels % kQuad == 0 && is_aligned(images)) {}

  __device__ __forceinline__ auto place(int entry, int entries) const {
    return side<kPixelsAreEntries>(entry, entries);
  }
  __device__ __forceinline__ auto step(int k, int end) const {
    return side<!kPixelsAreEntries>(k, end);
  }
  __device__ __forceinline__ float4 quad(int g, const Spot& pixel, const Cells& cells) const {
    if (in_quads) {
      const float* at = find(g, pixel, cells.spots[0]);
      return at != nullptr ? load4(at) : float4{without(cells.spots[0]), 0, 0, 0};
    }
    const auto value = [&](int j) {
      const float* at = find(g, pixel, cells.spots[j]);
      return at != nullptr ? *at : without(cells.spots[j]);
    };
    return {value(0), value(1), value(2), value(3)};
  }
  __device__ __forceinline__ float4 quad(int g, const Cells& cells, const Spot& pixel) const {
    return quad(g, pixel, cells);
  }

  using Place = std::conditional_t<kPixelsAreEntries, Spot, Cells>;

 private:
  template <bool kPixels>
  __device__ __forceinline__ auto side(int n, int all) const {
    const Spot outside{kFar, 0, 0};
    if constexpr (kPixels) {
      return n < all ? Seen::pixel(window, n) : outside;
    } else {
      Cells cells;
      cells.spots[0] = n < all ? Seen::cell(window, n) : outside;
      FEDSELECT_UNROLL
      for (int j = 1; j < kQuad; ++j)
        cells.spots[j] = !in_quads && n + j < all ? Seen::cell(window, n + j) : outside;
      return cells;
    }
  }
  /// Where the value lies; null for none.
  __device__ __forceinline__ const float* find(int g, const Spot& pixel, const Spot& cell) const {
    int row = pixel.row + cell.row, column = pixel.column + cell.column;
    const ImageShape image = Seen::image(window);
    if (Seen::kAreStrided && window.stride.divisor() != 1) {
      if (row < 0 || column < 0 || window.stride.remainder(row) != 0 ||
          window.stride.remainder(column) != 0)
        return nullptr;
      row = window.stride.quotient(row);
      column = window.stride.quotient(column);
    }
    if (static_cast<unsigned>(row) >= static_cast<unsigned>(image.height) ||
        static_cast<unsigned>(column) >= static_cast<unsigned>(image.width))
      return nullptr;
    return values[g] + (pixel.offset + cell.offset + (row * image.width + column) * image.channels);
  }
  /// The value of a cell where there is no image.
  __device__ __forceinline__ static float without(const Spot& cell) {
    return cell.row == kOnes ? 1.0F : 0.0F;
  }
};

/// y[pixel][o] = sum over (i, j, c) of x w[(i, j, c)][o], + bias.
struct ConvForward {
  static constexpr int kPartDepth = kUnparted;
  static constexpr bool kAlongRows = false, kRowsAreGiven = false;
  Images<Inputs, true> a;
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
struct ConvByInput {
  static constexpr int kPartDepth = kUnparted;
  static constexpr bool kAlongRows = false, kRowsAreGiven = false;
  Images<Outputs, true> a;
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
struct ConvByWeight {
  static constexpr int kPartDepth = kPartPixels;
  static constexpr bool kAlongRows = false, kRowsAreGiven = true;
  Images<Inputs, false> a;
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
__global__ void add_conv_parts_kernel(DeviceGroup group, Window window, ConstValues partial,
                                      Values dweight, Values dbias) {
  const int g = static_cast<int>(blockIdx.y);
  const int samples = group.samples[g];
  if (samples == 0) return;
  const ConvShape& shape = window.shape;
  const int weights = window.inputs() * shape.out_channels, all = weights + shape.out_channels;
  const int parts = parts_of<ConvByWeight>(window.of_out(samples));
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
  count_of(here, std::max(shape.in.size(), shape.out().size()));
  Arena::Frame frame(arena_);
  const Matrix<false> packed(pack_weights(frame, here, shape, false, weight), shape.out_channels);
  const Images<Inputs, true> seen(Window(shape), x, shape.in.channels);
  FEDSELECT_CUDA(launch_product(here, ConvForward{seen, packed, bias, y}, stream_.get()));
}

void CudaOps::conv_backward(const Group& group, const ConvShape& shape, ConstValues x,
                            ConstValues weight, ConstValues dy, Values dx, Values dweight,
                            Values dbias) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || shape.out().size() == 0) return;
  count_of(here, std::max(shape.in.size(), shape.out().size()));
  const Window window(shape);
  Arena::Frame frame(arena_);
  if (dx) {
    const Matrix<false> packed(pack_weights(frame, here, shape, true, weight), shape.in.channels);
    const Images<Outputs, true> seen(window, dy, shape.out_channels);
    FEDSELECT_CUDA(launch_product(here, ConvByInput{seen, packed, dx}, stream_.get()));
  }
  if (dweight || dbias) {
    const int channels = shape.out_channels;
    const auto parts = static_cast<std::size_t>(parts_of<ConvByWeight>(window.of_out(here.most)));
    const std::size_t values = shape.weights() + static_cast<std::size_t>(channels);
    const Values partial{frame.take<float>(parts * values * static_cast<std::size_t>(here.clients)),
                         static_cast<std::ptrdiff_t>(parts * values)};
    const Images<Inputs, false> seen(window, x, shape.in.channels);
    FEDSELECT_CUDA(launch_product(here, ConvByWeight{seen, Matrix<false>(dy, channels), partial},
                                  stream_.get()));
    FEDSELECT_CUDA(launch(add_conv_parts_kernel, grid_of(values, here.clients), kThreads, 0,
                          stream_.get(), here, window, partial, dweight, dbias));
  }
}

}  // namespace fedselect::cuda
