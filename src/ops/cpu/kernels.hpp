#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ops/ops.hpp"

/// The CPU's inner loops, compiled once per instruction set from the same source.
///
/// A kernel source puts everything into `namespace FEDSELECT_ISA` and avoids inline functions of
/// the standard library: the linker keeps one copy of those for all instruction sets.
namespace fedselect::ops::cpu {

struct LayerKernels;      // layer_kernels.hpp
struct ParameterKernels;  // parameter_kernels.hpp

enum class Isa { baseline, avx2, avx512 };

/// The widest set that both this build and this processor have.
Isa best_isa();
std::string_view to_string(Isa isa);

const LayerKernels& layer_kernels(Isa isa);
const ParameterKernels& parameter_kernels(Isa isa);

}  // namespace fedselect::ops::cpu
