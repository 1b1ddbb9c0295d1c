#pragma once

#include "ops/cpu/parameter_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// The selection of personal parameters; contracts in parameter_kernels.hpp.
std::ptrdiff_t selection_scratch(std::ptrdiff_t size);
bool select_top(std::ptrdiff_t size, const SelectionRule& rule, const float* score,
                const Word* eligible, Word* chosen, void* scratch);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
