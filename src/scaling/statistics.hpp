#pragma once

#include <span>

namespace fedselect {

/// A mean over repeats and its 95 % confidence interval by Student's t; the interval is NaN where
/// there are fewer than two values, all is NaN where there is none.
struct Estimate {
  double mean = 0;
  double low = 0;
  double high = 0;
};
Estimate estimate(std::span<const double> values);

// What a series fits, by least squares. NaN where fewer than two different x are given.

/// Amdahl: t(p) = t(1) (f + (1 - f) / p); returns the serial fraction f. `ranks` p, `seconds` t.
/// Source: Amdahl, AFIPS 1967.
double amdahl_fraction(std::span<const double> ranks, std::span<const double> seconds);
/// Gustafson: the speedup of work that grows with p is s + (1 - s) p; returns the serial fraction
/// s. The line goes through (1, 1). Source: Gustafson, CACM 31 (1988).
double gustafson_fraction(std::span<const double> ranks, std::span<const double> speedups);
/// t(w) = t(1) (f + (1 - f) w); returns f, the part of the time that doesn't grow with the work.
/// `work`: in units of that of the first point.
double fixed_fraction(std::span<const double> work, std::span<const double> seconds);

}  // namespace fedselect
