#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

void max_pool_forward(const Pool& shape, const float* x, float* y, std::uint8_t* argmax);
void max_pool_backward(const Pool& shape, const float* dy, const std::uint8_t* argmax, float* dx);
void mean_pool_forward(Index samples, Index pixels, Index channels, const float* x, float* y);
void mean_pool_backward(Index samples, Index pixels, Index channels, const float* dy, float* dx);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
