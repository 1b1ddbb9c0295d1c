#pragma once

#include "ops/cpu/parameter_kernels.hpp"
#include "ops/cpu/simd.hpp"

/// Arithmetic on whole parameter vectors, as ParameterKernels says.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

void adam_step(Index size, const AdamClientStep& client, float* theta, const float* gradient,
               float* first, float* second, const Word* mask);
void combine(Index size, float a, const float* x, float b, const float* y, float* out);
double dot(Index size, const float* x, const float* y);
float largest_magnitude(Index size, const float* values);
void unshared(Index size, const std::uint32_t* weight, Word* bits);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
