#include "base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace fedselect {
namespace {

TEST(Statistics, ConfidenceIntervalOfAMean) {
  const std::vector<double> values{1, 2, 3};
  EXPECT_DOUBLE_EQ(mean(values), 2);
  // Student's t of 2 degrees of freedom at p is (2 p - 1) / sqrt(2 p (1 - p)); the deviation is 1.
  const double t = 0.95 / std::sqrt(2 * 0.975 * 0.025);
  EXPECT_NEAR(confidence_95(values), t / std::sqrt(3.0), 1e-12);
  EXPECT_TRUE(std::isnan(confidence_95(std::vector<double>{1})));
  EXPECT_TRUE(std::isnan(mean({})));
}

TEST(Statistics, MedianOfEvenAndOdd) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
}

}  // namespace
}  // namespace fedselect
