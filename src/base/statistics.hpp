#pragma once

#include <span>
#include <vector>

namespace fedselect {

/// NaN of nothing.
double mean(std::span<const double> values);

/// The mean of the two in the middle where their number is even. Not of nothing.
double median(std::vector<double> values);

/// Half the width of the 95 % confidence interval of the mean of independent, normally distributed
/// values (Student's t); NaN of fewer than two.
double confidence_95(std::span<const double> values);

}  // namespace fedselect
