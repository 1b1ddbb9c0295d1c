#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

// As LayerKernels says of the members with these names.
void channel_moments(Index rows, Index channels, const float* x, double* mean, double* squares);
void channel_affine(Index rows, Index channels, const float* x, const float* mean,
                    const float* scale, const float* shift, float* y);
void channel_products(Index rows, Index channels, const float* x, const float* mean,
                      const float* dy, double* sum, double* product);
void channel_gradient(Index rows, Index channels, const float* x, const float* dy,
                      const NormGradient& norm, float* dx);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
