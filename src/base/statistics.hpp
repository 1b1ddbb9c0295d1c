#pragma once

#include <span>

namespace fedselect {

/// NaN of nothing.
double mean(std::span<const double> values);

/// Half the width of the 95 % confidence interval of the mean of independent, normally distributed
/// values (Student's t); NaN of fewer than two.
double confidence_95(std::span<const double> values);

}  // namespace fedselect
