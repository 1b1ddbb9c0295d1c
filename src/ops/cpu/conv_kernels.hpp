#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

Index conv_scratch(const Conv& shape);
void conv_forward(const Conv& shape, const float* x, const float* weight, const float* bias,
                  float* y, float* scratch);
void conv_backward(const Conv& shape, const float* x, const float* weight, const float* dy,
                   float* dx, float* dweight, float* dbias, float* scratch);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
