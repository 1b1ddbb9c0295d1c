#include "scaling/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace fedselect {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

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

double student_quantile(std::size_t freedom) {
  constexpr std::array kTable{12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060,
                              2.2622,  2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199,
                              2.1098,  2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639,
                              2.0595,  2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
  if (freedom == 0) return kNone;
  if (freedom <= kTable.size()) return kTable[freedom - 1];
  constexpr double kNormal = 1.959964;
  const auto n = static_cast<double>(freedom);
  const double cube = kNormal * kNormal * kNormal;
  const double fifth = cube * kNormal * kNormal;
  return kNormal + (cube + kNormal) / (4 * n) +
         (5 * fifth + 16 * cube + 3 * kNormal) / (96 * n * n);
}

Estimate estimate(std::span<const double> values) {
  if (values.empty()) return {kNone, kNone, kNone};
  const double centre = mean(values);
  if (values.size() == 1) return {centre, kNone, kNone};
  const auto n = static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  const double half =
      student_quantile(values.size() - 1) * std::sqrt(squares / (n - 1)) / std::sqrt(n);
  return {centre, centre - half, centre + half};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
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
