#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

void normalize(const std::uint8_t* pixels, Index size, Index channels, const float* scale,
               const float* offset, float* x);
void max_pool_forward(const Pool& shape, const float* x, float* y, std::uint8_t* argmax);
void max_pool_backward(const Pool& shape, const float* dy, const std::uint8_t* argmax, float* dx);
void relu_forward(Index size, float* x);
void relu_backward(Index size, const float* y, float* dy);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
