#pragma once

#include <string>
#include <vector>

#include "sweep/sweep_config.hpp"

namespace fedselect::sweep {

/// The values of all parameters, as TOML writes them, in their order; empty: the parameter has no
/// part in the point.
using Point = std::vector<std::string>;

/// The values of a parameter that a grid tries, a range's from its low end to the high one.
std::vector<std::string> grid_values(const Parameter& parameter);

/// The points of a sweep, each once, in an order that depends on the sweep alone. Throws InputError
/// if a grid has more than kMostTrials.
///
/// grid: all combinations. random: independent draws. Latin hypercube: each parameter's n draws
/// fall into n different strata (McKay, Beckman and Conover, Technometrics 21 (1979)). sobol:
/// Sobol's sequence, moved by one random vector modulo 1 (Cranley and Patterson, SIAM J. Numer.
/// Anal. 13 (1976)), so that any first points of it fill the space evenly.
std::vector<Point> make_points(const SweepConfig& sweep);

/// The value that a parameter takes at u in [0, 1).
std::string value_at(const Parameter& parameter, double u);

}  // namespace fedselect::sweep
