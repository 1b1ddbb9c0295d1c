#pragma once

#include <memory>

#include "ops/ops.hpp"

namespace fedselect::bench {

// Where round_player runs: on a machine (on_machine.cpp) or simulated (in_simulation.cpp).

/// The rank's core is busy for so long.
void compute(double seconds);

/// Ops of a rank. `folded`: in a simulation the arrays of all ranks lie in the same memory, so that
/// a thousand of them fit; what they hold means nothing then.
std::unique_ptr<ops::Ops> make_ops(bool folded);

}  // namespace fedselect::bench
