#include "ops/cpu/image_kernels.hpp"

/// Ops that touch each value once or twice: bytes limit them, so each is one pass over its arrays.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

inline Vec load_bytes(const std::uint8_t* p) {
  return __builtin_convertvector(*reinterpret_cast<const BytesAnywhere*>(p), Vec);
}

}  // namespace

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
