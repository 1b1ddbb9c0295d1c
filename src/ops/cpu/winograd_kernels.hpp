#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// Convolutions with stride 1 by Winograd's minimal filtering on tiles of 6 x 6 inputs: kernel 5
/// yields 2 x 2 outputs a tile (36 products instead of 100), kernel 3 yields 4 x 4 (36 instead of
/// 144).
///
/// Source: Lavin & Gray, arXiv 1509.09308; the weight gradient is the exact adjoint of the forward
/// pass.
bool winograd_fits(const Conv& shape);

Index winograd_correlate_scratch(const Conv& shape);
/// y = correlation of x with the packed weights (conv_weights.hpp, lanes: output channels) + bias.
void winograd_correlate(const Conv& shape, const float* x, const float* packed, const float* bias,
                        float* y, float* scratch);

Index winograd_gradient_scratch(const Conv& shape);
/// gradient [cell][in][gradient_row floats] of the weights. gradient_row: a multiple of kPanel >=
/// out_channels.
void winograd_gradient(const Conv& shape, const float* x, const float* dy, float* gradient,
                       Index gradient_row, float* scratch);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
