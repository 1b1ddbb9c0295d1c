// Quadratic programs whose solution is known, and the conditions that mark any solution.

#include "fed/simplex_program.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/random.hpp"

namespace fedselect {
namespace {

using Numbers = std::vector<double>;

void expect_near(const Numbers& a, const Numbers& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
}

TEST(SimplexProgram, WeighsInverselyToVariances) {
  const Numbers q{1, 0, 0, 0, 2, 0, 0, 0, 4};
  for (std::size_t start = 0; start < 3; ++start)
    expect_near(minimize_on_simplex(q, 3, start), {4 / 7., 2 / 7., 1 / 7.});
}

TEST(SimplexProgram, StopsAtTheBoundary) {
  // Points 1 and 3 on a line: the nearest to 0 is the first; 2, -2 and 5: halves of the first two.
  expect_near(minimize_on_simplex(Numbers{1, 3, 3, 9}, 2, 1), {1, 0});
  expect_near(minimize_on_simplex(Numbers{4, -4, 10, -4, 4, -10, 10, -10, 25}, 3, 0),
              {0.5, 0.5, 0});
  // (1, 0), (0, 1) and (2, 2): the last takes no part.
  expect_near(minimize_on_simplex(Numbers{1, 0, 2, 0, 1, 2, 2, 2, 8}, 3, 2), {0.5, 0.5, 0});
}

TEST(SimplexProgram, StaysWhereNothingIsToBeGained) {
  expect_near(minimize_on_simplex(Numbers(9, 0.0), 3, 1), {0, 1, 0});
  expect_near(minimize_on_simplex(Numbers(4, 5.0), 2, 1), {0, 1});  // the same point twice
  expect_near(minimize_on_simplex(Numbers{3}, 1, 0), {1});
}

TEST(SimplexProgram, SlopesAreEqualWhereWeightsArePositive) {
  RandomStream random(1, Purpose::test, 41);
  for (const std::size_t n : {2U, 5U, 17U, 60U}) {
    for (const std::size_t dimensions : {1U, 3U, 40U}) {  // Q singular, or of full rank
      Numbers points(n * dimensions);
      for (double& x : points) x = 0.5 + random.normal();
      Numbers q(n * n);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
          for (std::size_t d = 0; d < dimensions; ++d)
            q[i * n + j] += points[i * dimensions + d] * points[j * dimensions + d];
      const Numbers a = minimize_on_simplex(q, n, n / 2);
      EXPECT_NEAR(std::accumulate(a.begin(), a.end(), 0.0), 1, 1e-12);
      Numbers slopes(n, 0.0);
      double value = 0, scale = 0;
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_GE(a[i], 0);
        for (std::size_t j = 0; j < n; ++j) slopes[i] += q[i * n + j] * a[j];
        value += a[i] * slopes[i];
        scale = std::max(scale, q[i * n + i]);
      }
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_GE(slopes[i], value - 1e-9 * scale) << n << " " << dimensions;
        const double above = a[i] > 0 ? slopes[i] - value : 0;
        EXPECT_LE(above, 1e-9 * scale) << n << " " << dimensions;
      }
    }
  }
}

}  // namespace
}  // namespace fedselect
