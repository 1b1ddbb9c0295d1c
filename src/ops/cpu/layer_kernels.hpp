#pragma once

#include <cstddef>
#include <cstdint>

namespace fedselect::ops::cpu {

/// The shape of a convolution of one client's samples, spelled out (kernels call no inline function
/// from outside).
struct Conv {
  std::ptrdiff_t samples, height, width, channels;
  std::ptrdiff_t out_height, out_width, out_channels;
  std::ptrdiff_t kernel, stride, padding;
};

struct Linear {
  std::ptrdiff_t samples, in, out;
};

struct Pool {
  std::ptrdiff_t samples, height, width, channels;
  std::ptrdiff_t out_height, out_width;
  std::ptrdiff_t window, stride, padding;
};

/// An image and its Placement (shapes.hpp).
struct Placing {
  std::ptrdiff_t height, width, channels;
  std::ptrdiff_t dy, dx;
  bool flip;
};

/// dx = of_dy * dy + of_x * (x - mean) + constant, each a value a channel: what the gradient of a
/// norm layer comes to once its sums are known.
struct NormGradient {
  const float *mean, *of_dy, *of_x, *constant;
};

/// The layer kernels of one instruction set, for one client. Arrays as in ops.hpp; sizes in
/// elements.
struct LayerKernels {
  /// Writes the whole of `placed`, an image of the same shape.
  void (*place)(const Placing& shape, const std::uint8_t* pixels, std::uint8_t* placed);
  /// x = pixels * scale[channel] + offset[channel], `size` values.
  void (*normalize)(const std::uint8_t* pixels, std::ptrdiff_t size, std::ptrdiff_t channels,
                    const float* scale, const float* offset, float* x);

  /// Floats of scratch that the convolution's forward and backward passes need.
  std::ptrdiff_t (*conv_scratch)(const Conv& shape);
  void (*conv_forward)(const Conv& shape, const float* x, const float* weight, const float* bias,
                       float* y, float* scratch);
  void (*conv_backward)(const Conv& shape, const float* x, const float* weight, const float* dy,
                        float* dx, float* dweight, float* dbias, float* scratch);

  std::ptrdiff_t (*linear_scratch)(const Linear& shape);
  void (*linear_forward)(const Linear& shape, const float* x, const float* weight,
                         const float* bias, float* y, float* scratch);
  void (*linear_backward)(const Linear& shape, const float* x, const float* weight, const float* dy,
                          float* dx, float* dweight, float* dbias);

  void (*max_pool_forward)(const Pool& shape, const float* x, float* y, std::uint8_t* argmax);
  void (*max_pool_backward)(const Pool& shape, const float* dy, const std::uint8_t* argmax,
                            float* dx);
  void (*mean_pool_forward)(std::ptrdiff_t samples, std::ptrdiff_t pixels, std::ptrdiff_t channels,
                            const float* x, float* y);
  void (*mean_pool_backward)(std::ptrdiff_t samples, std::ptrdiff_t pixels, std::ptrdiff_t channels,
                             const float* dy, float* dx);

  /// Mean and sum of squared deviations from it of each channel of [row][channel].
  void (*channel_moments)(std::ptrdiff_t rows, std::ptrdiff_t channels, const float* x,
                          double* mean, double* squares);
  /// y = (x - mean) * scale + shift, each a value a channel.
  void (*channel_affine)(std::ptrdiff_t rows, std::ptrdiff_t channels, const float* x,
                         const float* mean, const float* scale, const float* shift, float* y);
  /// sum = of dy, product = of dy (x - mean), over the rows, a value a channel.
  void (*channel_products)(std::ptrdiff_t rows, std::ptrdiff_t channels, const float* x,
                           const float* mean, const float* dy, double* sum, double* product);
  void (*channel_gradient)(std::ptrdiff_t rows, std::ptrdiff_t channels, const float* x,
                           const float* dy, const NormGradient& norm, float* dx);

  void (*add)(std::ptrdiff_t size, const float* x, float* y);
  void (*relu_forward)(std::ptrdiff_t size, float* x);
  void (*relu_backward)(std::ptrdiff_t size, const float* y, float* dy);

  /// to[column][row] = from[row][column].
  void (*transpose)(const float* from, std::ptrdiff_t rows, std::ptrdiff_t columns, float* to);
};

}  // namespace fedselect::ops::cpu
