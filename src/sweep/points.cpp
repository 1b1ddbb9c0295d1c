#include "sweep/points.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/random/sobol.hpp>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/config_text.hpp"

namespace fedselect::sweep {

namespace {

/// Six digits are enough for a value that nobody chose.
std::string write_number(const Parameter& parameter, double x) {
  return parameter.whole ? fmt::format("{}", static_cast<std::int64_t>(std::llround(x)))
                         : write_real(std::stod(fmt::format("{:.6g}", x)));
}

/// t in [0, 1]: the way from the low end to the high one.
double at(const Parameter& parameter, double t) {
  return parameter.log ? parameter.low * std::pow(parameter.high / parameter.low, t)
                       : parameter.low + (parameter.high - parameter.low) * t;
}

bool takes_part(const Parameter& parameter, const Point& point) {
  if (parameter.condition < 0) return true;
  const auto& wanted = parameter.condition_values;
  return std::find(wanted.begin(), wanted.end(),
                   point[static_cast<std::size_t>(parameter.condition)]) != wanted.end();
}

/// Rows of numbers in [0, 1), one for each parameter.
using Rows = std::vector<std::vector<double>>;

RandomStream stream_of(const SweepConfig& sweep, std::size_t parameter) {
  return {static_cast<std::uint64_t>(sweep.seed), Purpose::sweep,
          static_cast<std::uint32_t>(parameter)};
}

Rows draw_rows(const SweepConfig& sweep) {
  const auto n = static_cast<std::size_t>(sweep.points);
  const std::size_t d = sweep.parameters.size();
  Rows rows(n, std::vector<double>(d));
  if (sweep.search == Search::sobol) {
    boost::random::sobol sequence(d);
    for (std::size_t i = 1; i < n; ++i)  // it leaves out the first point, which is 0
      for (double& u : rows[i]) u = std::ldexp(static_cast<double>(sequence()), -64);
  }
  for (std::size_t p = 0; p < d; ++p) {
    RandomStream random = stream_of(sweep, p);
    const double shift = random.uniform();
    std::vector<std::size_t> strata(n);
    std::iota(strata.begin(), strata.end(), 0);
    random.shuffle(std::span(strata));
    for (std::size_t i = 0; i < n; ++i) {
      double& u = rows[i][p];
      switch (sweep.search) {
        case Search::grid: break;
        case Search::random: u = random.uniform(); break;
        case Search::sobol: u = std::fmod(u + shift, 1.0); break;
        case Search::latin_hypercube:
          u = (static_cast<double>(strata[i]) + random.uniform()) / static_cast<double>(n);
          break;
      }
    }
  }
  return rows;
}

/// All combinations, the last parameter fastest.
std::vector<Point> make_grid(const std::vector<Parameter>& parameters) {
  std::vector<Point> points{{}};
  for (const Parameter& parameter : parameters) {
    std::vector<Point> longer;
    for (const Point& point : points)
      for (const std::string& value :
           takes_part(parameter, point) ? grid_values(parameter) : std::vector<std::string>{""}) {
        if (longer.size() == kMostTrials)
          throw InputError(fmt::format(
              "the grid has more than {} points: give its parameters fewer values, or draw some of "
              "them ([search] kind = \"sobol\")",
              kMostTrials));
        longer.push_back(point);
        longer.back().push_back(value);
      }
    points = std::move(longer);
  }
  return points;
}

std::vector<Point> make_draws(const SweepConfig& sweep) {
  std::vector<Point> points;
  for (const auto& row : draw_rows(sweep)) {
    Point& point = points.emplace_back();
    for (std::size_t p = 0; p < row.size(); ++p) {
      const Parameter& parameter = sweep.parameters[p];
      point.push_back(takes_part(parameter, point) ? value_at(parameter, row[p]) : "");
    }
  }
  return points;
}

}  // namespace

std::string value_at(const Parameter& parameter, double u) {
  if (!parameter.values.empty()) {
    const auto n = static_cast<double>(parameter.values.size());
    return parameter.values[static_cast<std::size_t>(std::min(std::floor(u * n), n - 1))];
  }
  if (!parameter.whole) return write_number(parameter, at(parameter, u));
  // Every whole number has a stratum of its own, the ends too.
  Parameter wide = parameter;
  wide.low -= 0.5;
  wide.high += 0.5;
  return write_number(parameter,
                      std::clamp(std::round(at(wide, u)), parameter.low, parameter.high));
}

std::vector<std::string> grid_values(const Parameter& parameter) {
  if (!parameter.values.empty()) return parameter.values;
  std::vector<std::string> values;
  for (std::int64_t i = 0; i < parameter.points; ++i) {
    const bool is_last = i + 1 == parameter.points;
    const double t = static_cast<double>(i) / static_cast<double>(parameter.points - 1);
    values.push_back(write_number(parameter, is_last ? parameter.high : at(parameter, t)));
  }
  return values;
}

std::vector<Point> make_points(const SweepConfig& sweep) {
  std::vector<Point> points =
      sweep.search == Search::grid ? make_grid(sweep.parameters) : make_draws(sweep);
  std::set<Point> seen;
  std::erase_if(points, [&](const Point& point) { return !seen.insert(point).second; });
  return points;
}

}  // namespace fedselect::sweep
