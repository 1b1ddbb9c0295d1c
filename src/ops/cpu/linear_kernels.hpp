#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

Index linear_scratch(const Linear& shape);
void linear_forward(const Linear& shape, const float* x, const float* weight, const float* bias,
                    float* y, float* scratch);
void linear_backward(const Linear& shape, const float* x, const float* weight, const float* dy,
                     float* dx, float* dweight, float* dbias);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
