#include "ops/cpu/conv_weights.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

// All three move kWidth x kWidth squares through registers, because lanes lie far apart in
// PyTorch's order.

void pack_by_output(const float* weight, Index out, Index in, Index cells, float* packed) {
  const Index columns = in * cells;
  for (Index o = 0; o < packed_panels(out) * kPanel; o += kWidth) {
    const Index height = min(kWidth, out - o);
    float* to = packed + o / kPanel * (columns * kPanel) + o % kPanel;
    Index channel = 0;
    Index cell = 0;
    for (Index q = 0; q < columns; q += kWidth) {
      const Index width = min(kWidth, columns - q);
      const Lanes lanes(width);
      Vec v[kWidth];
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) {
        v[r] = r < height ? load(weight + (o + r) * columns + q, lanes) : Vec{};
      }
      transpose_square(v);
      for (Index j = 0; j < width; ++j) {
        store(to + (cell * in + channel) * kPanel, v[j]);
        if (++cell == cells) {
          cell = 0;
          ++channel;
        }
      }
    }
  }
}

void pack_by_input(const float* weight, Index out, Index in, Index cells, bool rotated,
                   float* packed) {
  for (Index c = 0; c < packed_panels(in) * kPanel; c += kWidth) {
    const Index height = min(kWidth, in - c);
    float* to = packed + c / kPanel * (cells * out * kPanel) + c % kPanel;
    for (Index o = 0; o < out; ++o) {
      for (Index q = 0; q < cells; q += kWidth) {
        const Index width = min(kWidth, cells - q);
        const Lanes lanes(width);
        Vec v[kWidth];
#pragma GCC unroll 16
        for (int r = 0; r < kWidth; ++r) {
          v[r] = r < height ? load(weight + (o * in + c + r) * cells + q, lanes) : Vec{};
        }
        transpose_square(v);
        for (Index j = 0; j < width; ++j) {
          const Index cell = rotated ? cells - 1 - (q + j) : q + j;
          store(to + (cell * out + o) * kPanel, v[j]);
        }
      }
    }
  }
}

void unpack_gradient(const float* gradient, Index out, Index out_row, Index in, Index cells,
                     float* dweight) {
  const Index columns = in * cells;
  for (Index o = 0; o < out; o += kWidth) {
    const Index height = min(kWidth, out - o);
    const Lanes out_lanes(height);
    Index channel = 0;
    Index cell = 0;
    for (Index q = 0; q < columns; q += kWidth) {
      const Index width = min(kWidth, columns - q);
      const Lanes lanes(width);
      Vec v[kWidth] = {};
      for (Index j = 0; j < width; ++j) {
        v[j] = load(gradient + (cell * in + channel) * out_row + o, out_lanes);
        if (++cell == cells) {
          cell = 0;
          ++channel;
        }
      }
      transpose_square(v);
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) {
        if (r < height) store(dweight + (o + r) * columns + q, v[r], lanes);
      }
    }
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
