#pragma once

#include <string>
#include <vector>

#include "estimate/experiment_forecast.hpp"

namespace fedselect {

/// The forecast as lines and tables for people.
std::string describe(const ExperimentForecast& forecast);

/// What can't fit or finish, and what to do: a line each.
std::vector<std::string> warnings_of(const ExperimentForecast& forecast);

}  // namespace fedselect
