#pragma once

#include "ops/cpu/parameter_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// The exact sums of aggregation; contracts in parameter_kernels.hpp.
std::ptrdiff_t accumulate(std::ptrdiff_t size, const FixedPoint& fixed, std::uint32_t weight,
                          const float* theta, const Word* mask, const SumView& sum);
void retract(std::ptrdiff_t size, const FixedPoint& fixed, std::uint32_t weight, const float* theta,
             const Word* mask, const SumView& sum);
void divide(std::ptrdiff_t size, const FixedPoint& fixed, const SumView& sum, float* global);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
