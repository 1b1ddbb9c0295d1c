#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// Convolutions with stride 1 by Winograd's minimal filtering on tiles of 4 x 4 outputs: kernel 3
/// takes 36 products a tile instead of 144, kernel 5 takes 64 instead of 400.
///
/// Sources: Lavin & Gray, arXiv 1509.09308; the weight gradient is the exact adjoint of the forward
/// pass. Norm-wise error in single precision (14 x 14 x 32 -> 64, kernel 5 | 8 x 8 x 64 -> 64,
/// kernel 3): y 2e-6 | 7e-7, dx 3e-6 | 8e-7, dweight 2e-6 | 5e-7; direct: 2e-7. Speed (Zen 5,
/// AVX-512, one thread, batch 32, first shape; 237 GFLOP/s peak): 650 GFLOP/s counted as direct
/// products, that is the products of the tiles at their arithmetic limit for 60 % of the time,
/// transforms (bound by the first two cache levels) the rest.
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
