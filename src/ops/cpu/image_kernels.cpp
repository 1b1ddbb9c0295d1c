#include "ops/cpu/image_kernels.hpp"

/// Ops that touch each value once or twice: bytes limit them, so each is one pass over its arrays.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

inline Vec load_bytes(const std::uint8_t* p) {
  return __builtin_convertvector(*reinterpret_cast<const BytesAnywhere*>(p), Vec);
}

/// to = from with its pixels in reverse.
void mirror(const std::uint8_t* from, Index pixels, Index channels, std::uint8_t* to) {
  if (channels == 1) {  // a loop that compilers turn into vectors
    for (Index i = 0; i < pixels; ++i) to[i] = from[pixels - 1 - i];
    return;
  }
  for (Index i = 0; i < pixels; ++i) {
    const std::uint8_t* pixel = from + (pixels - 1 - i) * channels;
    for (Index c = 0; c < channels; ++c) to[i * channels + c] = pixel[c];
  }
}

}  // namespace

void place(const Placing& shape, const std::uint8_t* pixels, std::uint8_t* placed) {
  const Index row = shape.width * shape.channels;
  __builtin_memset(placed, 0, static_cast<std::size_t>(shape.height * row));
  // Columns [first, end) of the sample are seen, from column `at` on.
  const Index first = shape.dx > 0 ? shape.dx : 0;
  const Index end = shape.dx < 0 ? shape.width + shape.dx : shape.width;
  if (first >= end) return;
  const Index at = shape.flip ? shape.width - (end - shape.dx) : first - shape.dx;
  for (Index y = 0; y < shape.height; ++y) {
    const Index from_y = y + shape.dy;
    if (from_y < 0 || from_y >= shape.height) continue;
    const std::uint8_t* from = pixels + from_y * row + first * shape.channels;
    std::uint8_t* to = placed + y * row + at * shape.channels;
    if (shape.flip) {
      mirror(from, end - first, shape.channels, to);
    } else {
      __builtin_memcpy(to, from, static_cast<std::size_t>((end - first) * shape.channels));
    }
  }
}

void normalize(const std::uint8_t* pixels, Index size, Index channels, const float* scale,
               const float* offset, float* x) {
  // The channels' pattern repeats after `channels` vectors; a vector starts at channel (v * kWidth)
  // % channels.
  constexpr Index kMostChannels = 16;
  if (channels > kMostChannels) {
    for (Index i = 0; i < size; ++i) {
      x[i] = static_cast<float>(pixels[i]) * scale[i % channels] + offset[i % channels];
    }
    return;
  }
  Vec scales[kMostChannels];
  Vec offsets[kMostChannels];
  for (Index v = 0; v < channels; ++v) {
    for (Index lane = 0; lane < kWidth; ++lane) {
      scales[v][lane] = scale[(v * kWidth + lane) % channels];
      offsets[v][lane] = offset[(v * kWidth + lane) % channels];
    }
  }
  Index i = 0;
  Index v = 0;
  for (; i + kWidth <= size; i += kWidth) {
    store(x + i, multiply_add(load_bytes(pixels + i), scales[v], offsets[v]));
    if (++v == channels) v = 0;
  }
  for (Index lane = 0; i < size; ++i, ++lane) {
    x[i] = static_cast<float>(pixels[i]) * scales[v][lane] + offsets[v][lane];
  }
}

void relu_forward(Index size, float* x) {
  Index i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    const Vec v = load(x + i);
    store(x + i, v < Vec{} ? Vec{} : v);  // a NaN stays one, so that divergence is seen
  }
  for (; i < size; ++i) x[i] = x[i] < 0.0F ? 0.0F : x[i];
}

void relu_backward(Index size, const float* y, float* dy) {
  Index i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    store(dy + i, load(y + i) > Vec{} ? load(dy + i) : Vec{});
  }
  for (; i < size; ++i) dy[i] = y[i] > 0.0F ? dy[i] : 0.0F;
}

void add(Index size, const float* x, float* y) {
  Index i = 0;
  for (; i + kWidth <= size; i += kWidth) store(y + i, load(y + i) + load(x + i));
  for (; i < size; ++i) y[i] += x[i];
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
