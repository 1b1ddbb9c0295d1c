#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

void place(const Placing& shape, const std::uint8_t* pixels, std::uint8_t* placed);
void normalize(const std::uint8_t* pixels, Index size, Index channels, const float* scale,
               const float* offset, float* x);
void relu_forward(Index size, float* x);
void relu_backward(Index size, const float* y, float* dy);
void add(Index size, const float* x, float* y);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
