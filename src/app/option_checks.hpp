#pragma once

#include <CLI/CLI.hpp>

namespace fedselect {

/// Of an option's value: a number, not NaN, in [low, high].
CLI::Validator number_between(double low, double high);

}  // namespace fedselect
