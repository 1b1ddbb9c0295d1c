#include "base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace fedselect {
namespace {

TEST(Statistics, ConfidenceIntervalOfAMean) {
  const std::vector<double> values{1, 2, 3};
  EXPECT_DOUBLE_EQ(mean(values), 2);
  // Student's t of 2 degrees of freedom at .975 is 4.302652729911275 (tables); the deviation is 1.
  EXPECT_NEAR(confidence_95(values), 4.302652729911275 / std::sqrt(3.0), 1e-12);
  EXPECT_TRUE(std::isnan(confidence_95(std::vector<double>{1})));
  EXPECT_TRUE(std::isnan(mean({})));
}

}  // namespace
}  // namespace fedselect
