#pragma once

#include <memory>

#include "ops/ops.hpp"

namespace fedselect::bench {

// Where round_player runs: on a machine (on_machine.cpp) or simulated (in_simulation.cpp).

/// The rank's core is busy for so long.
void compute(double seconds);

/// Ops of a rank. `idle`: in a simulation they do nothing to parameters, which then mean nothing,
/// so that those of a thousand ranks may lie in the same memory (folded_memory.cpp).
std::unique_ptr<ops::Ops> make_ops(bool idle);

}  // namespace fedselect::bench
