#pragma once

#include "ops/cpu/gemm_kernels.hpp"
#include "ops/cpu/layer_kernels.hpp"

/// Orders of a convolution's weights. PyTorch's is [out][in][cell], cell = row * kernel + column.
///
/// Packed: [panel][cell][channel][kPanel lanes], the lanes being the channels that the product
/// yields (zeros behind the last), the channel the one that it sums over.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

inline Index packed_panels(Index lanes) { return ceil_div(lanes, kPanel); }
inline Index packed_size(Index lanes, Index cells, Index channels) {
  return packed_panels(lanes) * cells * channels * kPanel;
}

/// Lanes are the output channels: for y from x.
void pack_by_output(const float* weight, Index out, Index in, Index cells, float* packed);
/// Lanes are the input channels: for dx from dy. `rotated` reverses the cells.
void pack_by_input(const float* weight, Index out, Index in, Index cells, bool rotated,
                   float* packed);
/// [cell][in][out_row floats] -> [out][in][cell].
void unpack_gradient(const float* gradient, Index out, Index out_row, Index in, Index cells,
                     float* dweight);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
