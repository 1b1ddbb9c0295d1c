#pragma once

#include <cstddef>
#include <string>

#include "app/experiment.hpp"
#include "fed/simulation.hpp"
#include "io/result_file.hpp"

namespace fedselect {

// What one method of an experiment is given when it is run.

/// `experiment` must outlive the simulation.
SimulationSetup setup_of(const Experiment& experiment, const MethodConfig& method);
/// Of method number `index`. `manifest`: make_manifest().
RunDescription describe_run(const Config& config, std::size_t index, std::string manifest);

}  // namespace fedselect
