#include "scaling/statistics.hpp"

#include <limits>
#include <vector>

#include "base/statistics.hpp"

namespace fedselect {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// The line a + b x; returns a / (a + b), its share that doesn't depend on x, at x = 1.
double constant_share(std::span<const double> x, std::span<const double> y) {
  if (x.empty()) return kNone;
  const double mean_x = mean(x);
  const double mean_y = mean(y);
  double products = 0;
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    products += (x[i] - mean_x) * (y[i] - mean_y);
    squares += (x[i] - mean_x) * (x[i] - mean_x);
  }
  if (squares == 0) return kNone;
  const double slope = products / squares;
  const double constant = mean_y - slope * mean_x;
  return constant / (constant + slope);
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  const double centre = mean(values);
  const double half = confidence_95(values);
  return {centre, centre - half, centre + half};
}

double amdahl_fraction(std::span<const double> ranks, std::span<const double> seconds) {
  std::vector<double> inverse;
  for (const double p : ranks) inverse.push_back(1 / p);
  return constant_share(inverse, seconds);
}

double gustafson_fraction(std::span<const double> ranks, std::span<const double> speedups) {
  double products = 0;
  double squares = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    products += (1 - ranks[i]) * (speedups[i] - ranks[i]);
    squares += (1 - ranks[i]) * (1 - ranks[i]);
  }
  return squares == 0 ? kNone : products / squares;
}

double fixed_fraction(std::span<const double> work, std::span<const double> seconds) {
  return constant_share(work, seconds);
}

}  // namespace fedselect
