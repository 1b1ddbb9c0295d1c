#include "sweep/points.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/error.hpp"
#include "files/scratch_folder.hpp"

namespace fedselect::sweep {
namespace {

Parameter list(std::string key, std::vector<std::string> values) {
  Parameter parameter;
  parameter.key = std::move(key);
  parameter.values = std::move(values);
  return parameter;
}

Parameter range(std::string key, double low, double high, std::int64_t points = 0) {
  Parameter parameter;
  parameter.key = std::move(key);
  parameter.low = low;
  parameter.high = high;
  parameter.points = points;
  return parameter;
}

/// Drawn values of parameter p, as positions in [0, 1] of a range from 0 to 1, ascending.
std::vector<double> positions(const std::vector<Point>& points, std::size_t p) {
  std::vector<double> values;
  for (const Point& point : points) values.push_back(std::strtod(point[p].c_str(), nullptr));
  std::sort(values.begin(), values.end());
  return values;
}

TEST(Points, AGridHasAllCombinations) {
  SweepConfig sweep;
  Parameter rate = range("lr", 0.01, 1, 3);
  rate.log = true;
  sweep.parameters = {list("a", {"\"x\"", "\"y\""}), rate};
  EXPECT_EQ(make_points(sweep), (std::vector<Point>{{"\"x\"", "0.01"},
                                                    {"\"x\"", "0.1"},
                                                    {"\"x\"", "1.0"},
                                                    {"\"y\"", "0.01"},
                                                    {"\"y\"", "0.1"},
                                                    {"\"y\"", "1.0"}}));
}

TEST(Points, AParameterWithAConditionHasNoPartElsewhere) {
  SweepConfig sweep;
  Parameter momentum = list("momentum", {"0.0", "0.9"});
  momentum.condition = 0;
  momentum.condition_values = {"\"sgd\""};
  sweep.parameters = {list("optimizer", {"\"sgd\"", "\"adam\""}), momentum};
  EXPECT_EQ(make_points(sweep),
            (std::vector<Point>{{"\"sgd\"", "0.0"}, {"\"sgd\"", "0.9"}, {"\"adam\"", ""}}));
  // Draws that agree in all that has a part are one point.
  sweep.search = Search::random;
  sweep.points = 50;
  EXPECT_EQ(make_points(sweep).size(), 3);
}

TEST(Points, WithoutParametersThereIsOnePoint) {
  EXPECT_EQ(make_points({}), std::vector<Point>{{}});
}

TEST(Points, WholeNumbersAreEquallyLikely) {
  Parameter whole = range("hidden", 1, 4);
  whole.whole = true;
  EXPECT_EQ(value_at(whole, 0), "1");
  EXPECT_EQ(value_at(whole, 0.2499), "1");
  EXPECT_EQ(value_at(whole, 0.2501), "2");
  EXPECT_EQ(value_at(whole, 0.9999), "4");
}

TEST(Points, LatinHypercubeHitsEveryStratumOnce) {
  SweepConfig sweep;
  sweep.search = Search::latin_hypercube;
  sweep.points = 10;
  sweep.parameters = {range("a", 0, 1), range("b", 0, 1)};
  const auto points = make_points(sweep);
  for (const std::size_t p : {0U, 1U}) {
    const auto values = positions(points, p);
    for (std::size_t i = 0; i < 10; ++i)
      EXPECT_EQ(std::floor(10 * values[i]), static_cast<double>(i)) << p;
  }
  EXPECT_NE(points, make_points([&] {
              SweepConfig other = sweep;
              other.seed = 2;
              return other;
            }()));
}

TEST(Points, SobolPointsFillTheSpaceEvenly) {
  SweepConfig sweep;
  sweep.search = Search::sobol;
  sweep.points = 16;
  sweep.parameters = {range("a", 0, 1), range("b", 0, 1), range("c", 0, 1)};
  const auto points = make_points(sweep);
  // The first 2^k points of the sequence stand 2^-k apart in each direction; moving them together
  // modulo 1 leaves that as it is. Values are written with six digits.
  for (const std::size_t p : {0U, 1U, 2U}) {
    const auto values = positions(points, p);
    for (std::size_t i = 1; i < values.size(); ++i)
      EXPECT_NEAR(values[i] - values[i - 1], 1.0 / 16, 2e-6) << p << " " << i;
  }
  // More points begin with the same ones.
  sweep.points = 20;
  auto longer = make_points(sweep);
  longer.resize(16);
  EXPECT_EQ(longer, points);
}

TEST(Points, AGridIsRefusedBeforeItFillsTheMemory) {
  SweepConfig sweep;
  for (const char* key : {"a", "b", "c", "d"}) sweep.parameters.push_back(range(key, 0, 1, 1000));
  EXPECT_EQ(testing::message_of<InputError>([&] { make_points(sweep); }),
            "the grid has more than 1000000 points: give its parameters fewer values, or draw some "
            "of them ([search] kind = \"sobol\")");
}

}  // namespace
}  // namespace fedselect::sweep
