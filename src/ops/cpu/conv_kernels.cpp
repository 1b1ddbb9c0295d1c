#include "ops/cpu/conv_kernels.hpp"

#include "ops/cpu/conv_weights.hpp"
#include "ops/cpu/gemm_kernels.hpp"
#include "ops/cpu/padded_image.hpp"
#include "ops/cpu/winograd_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

/// A 1 x 1 convolution is one matrix product over all pixels: a single row of them.
Conv merged(const Conv& s) {
  if (s.kernel != 1 || s.stride != 1 || s.padding != 0) return s;
  Conv line = s;
  line.samples = min(s.samples, 1);
  line.height = line.out_height = 1;
  line.width = line.out_width = s.samples * s.height * s.width;
  return line;
}

/// The correlation with rotated weights that yields dx from dy; needs stride 1 and padding <
/// kernel.
Conv reversed(const Conv& s) {
  return {s.samples,  s.out_height, s.out_width, s.out_channels,          s.height, s.width,
          s.channels, s.kernel,     1,           s.kernel - 1 - s.padding};
}
bool has_reverse(const Conv& s) { return s.stride == 1 && s.padding < s.kernel; }

PaddedImage padded_input(const Conv& s) {
  return {.in_height = s.height,
          .in_width = s.width,
          .channels = s.channels,
          .border = s.padding,
          .height = s.height + 2 * s.padding,
          .width = s.width + 2 * s.padding};
}

/// y = correlation of x with packed weights + bias: for each output row a product of depth kernel x
/// channels (contiguous in a channels-last row), summed over the kernel's rows in registers.
void direct_correlate(const Conv& s, const float* x, const float* packed, const float* bias,
                      float* y, float* scratch) {
  const PaddedImage padded = padded_input(s);
  padded.clear(scratch);
  for (Index n = 0; n < s.samples; ++n) {
    const float* image = padded.of(x, n, scratch);
    for (Index h = 0; h < s.out_height; ++h) {
      Product p;
      p.a = image + h * s.stride * padded.row();
      p.a_row = s.stride * s.channels;
      p.a_batch = padded.row();
      p.b = packed;
      p.b_step = kPanel;
      p.b_batch = s.kernel * s.channels * kPanel;
      p.b_panel = s.kernel * p.b_batch;
      p.c = y + (n * s.out_height + h) * s.out_width * s.out_channels;
      p.c_row = s.out_channels;
      p.rows = s.out_width;
      p.columns = s.out_channels;
      p.depth = s.kernel * s.channels;
      p.batch = s.kernel;
      p.bias = bias;
      multiply(p);
    }
  }
}

/// dx by adding each output pixel's share to the kernel x kernel inputs that it saw: any stride and
/// padding.
void scatter_dx(const Conv& s, const float* packed, const float* dy, float* dx, float* scratch) {
  const PaddedImage padded = padded_input(s);
  const Index in_row = s.width * s.channels;
  for (Index n = 0; n < s.samples; ++n) {
    fill(scratch, padded.height * padded.row(), 0.0F);
    for (Index h = 0; h < s.out_height; ++h) {
      for (Index cell = 0; cell < s.kernel * s.kernel; ++cell) {
        const Index row = h * s.stride + cell / s.kernel;
        Product p;
        p.a = dy + (n * s.out_height + h) * s.out_width * s.out_channels;
        p.a_row = s.out_channels;
        p.b = packed + cell * s.out_channels * kPanel;
        p.b_step = kPanel;
        p.b_panel = s.kernel * s.kernel * s.out_channels * kPanel;
        p.c = scratch + row * padded.row() + cell % s.kernel * s.channels;
        p.c_row = s.stride * s.channels;
        p.rows = s.out_width;
        p.columns = s.channels;
        p.depth = s.out_channels;
        p.accumulate = true;
        multiply(p);
      }
    }
    for (Index h = 0; h < s.height; ++h) {
      const float* from = scratch + (h + s.padding) * padded.row() + s.padding * s.channels;
      float* to = dx + (n * s.height + h) * in_row;
      copy(from, in_row, to);
    }
  }
}

/// gradient [cell][in][gradient_row] = sum over samples and output pixels of what the cell saw
/// times dy.
void direct_gradient(const Conv& s, const float* x, const float* dy, float* gradient,
                     Index gradient_row, float* scratch) {
  const PaddedImage padded = padded_input(s);
  const Index rows = s.kernel * s.channels;
  padded.clear(scratch);
  fill(gradient, s.kernel * rows * gradient_row, 0.0F);
  for (Index n = 0; n < s.samples; ++n) {
    const float* image = padded.of(x, n, scratch);
    for (Index kernel_row = 0; kernel_row < s.kernel; ++kernel_row) {
      Product p;
      p.a = image + kernel_row * padded.row();
      p.a_row = 1;
      p.a_step = s.stride * s.channels;
      p.a_batch = s.stride * padded.row();
      p.b = dy + n * s.out_height * s.out_width * s.out_channels;
      p.b_step = s.out_channels;
      p.b_batch = s.out_width * s.out_channels;
      p.c = gradient + kernel_row * rows * gradient_row;
      p.c_row = gradient_row;
      p.rows = rows;
      p.columns = s.out_channels;
      p.depth = s.out_width;
      p.batch = s.out_height;
      p.accumulate = true;
      multiply(p);
    }
  }
}

/// Scratch of the passes, one after another in the same memory.
struct Buffers {
  Index weights, work, size;

  Buffers(Index packed, Index working) {
    Arena arena;
    weights = arena.take(packed);
    work = arena.take(working);
    size = arena.size;
  }
};

Buffers forward_buffers(const Conv& s) {
  return {packed_size(s.out_channels, s.kernel * s.kernel, s.channels),
          winograd_fits(s) ? winograd_correlate_scratch(s) : padded_input(s).size()};
}

Buffers dx_buffers(const Conv& s) {
  const PaddedImage padded = padded_input(s);
  Index work = padded.height * padded.row();
  if (has_reverse(s)) {
    const Conv back = reversed(s);
    work = winograd_fits(back) ? winograd_correlate_scratch(back) : padded_input(back).size();
  }
  return {packed_size(s.channels, s.kernel * s.kernel, s.out_channels), work};
}

Index gradient_row(const Conv& s) { return round_up_to(s.out_channels, kPanel); }
Buffers gradient_buffers(const Conv& s) {
  return {s.kernel * s.kernel * s.channels * gradient_row(s),
          winograd_fits(s) ? winograd_gradient_scratch(s) : padded_input(s).size()};
}

}  // namespace

Index conv_scratch(const Conv& shape) {
  const Conv s = merged(shape);
  return max(forward_buffers(s).size, max(dx_buffers(s).size, gradient_buffers(s).size));
}

void conv_forward(const Conv& shape, const float* x, const float* weight, const float* bias,
                  float* y, float* scratch) {
  const Conv s = merged(shape);
  const Buffers buffers = forward_buffers(s);
  float* packed = scratch + buffers.weights;
  pack_by_output(weight, s.out_channels, s.channels, s.kernel * s.kernel, packed);
  if (winograd_fits(s)) {
    winograd_correlate(s, x, packed, bias, y, scratch + buffers.work);
  } else {
    direct_correlate(s, x, packed, bias, y, scratch + buffers.work);
  }
}

void conv_backward(const Conv& shape, const float* x, const float* weight, const float* dy,
                   float* dx, float* dweight, float* dbias, float* scratch) {
  const Conv s = merged(shape);
  const Index cells = s.kernel * s.kernel;
  if (dbias != nullptr) {
    fill(dbias, s.out_channels, 0.0F);
    add_column_sums(dy, s.samples * s.out_height * s.out_width, s.out_channels, dbias);
  }
  if (dweight != nullptr) {
    const Buffers buffers = gradient_buffers(s);
    float* gradient = scratch + buffers.weights;
    if (winograd_fits(s)) {
      winograd_gradient(s, x, dy, gradient, gradient_row(s), scratch + buffers.work);
    } else {
      direct_gradient(s, x, dy, gradient, gradient_row(s), scratch + buffers.work);
    }
    unpack_gradient(gradient, s.out_channels, gradient_row(s), s.channels, cells, dweight);
  }
  if (dx != nullptr) {
    const Buffers buffers = dx_buffers(s);
    float* packed = scratch + buffers.weights;
    pack_by_input(weight, s.out_channels, s.channels, cells, has_reverse(s), packed);
    if (!has_reverse(s)) {
      scatter_dx(s, packed, dy, dx, scratch + buffers.work);
      return;
    }
    const Conv back = reversed(s);
    if (winograd_fits(back)) {
      winograd_correlate(back, dy, packed, nullptr, dx, scratch + buffers.work);
    } else {
      direct_correlate(back, dy, packed, nullptr, dx, scratch + buffers.work);
    }
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
