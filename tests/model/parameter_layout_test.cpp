// Where tensors and statistics stand in the parameter vector.

#include "model/parameter_layout.hpp"

#include <gtest/gtest.h>

namespace fedselect {
namespace {

TEST(ParameterLayout, StatisticsStandBehindAllParameters) {
  ParameterLayout layout;
  layout.add("conv.weight", {3, 2, 5, 5}, TensorKind::weight, 0);  // 150 values: 192
  layout.add("bn.weight", {3}, TensorKind::weight, 1, true);
  layout.add("bn.running_mean", {3}, TensorKind::statistic, 1, true);
  layout.add("bn.running_var", {65}, TensorKind::statistic, 1, true);
  EXPECT_EQ(layout.statistics()[0].range.begin, 256U);
  layout.add("fc.weight", {4, 3}, TensorKind::weight, 2);

  EXPECT_EQ(layout.size(), 165U);
  EXPECT_EQ(layout.statistic_size(), 68U);
  EXPECT_EQ(layout.parameter_span(), 320U);
  EXPECT_EQ(layout.padded_size(), 320U + 64 + 128);
  EXPECT_EQ(layout.words(), 8U);
  ASSERT_EQ(layout.tensors().size(), 3U);
  ASSERT_EQ(layout.ranges().size(), 3U);
  EXPECT_EQ(layout.ranges()[2].begin, 256U);
  ASSERT_EQ(layout.statistics().size(), 2U);
  EXPECT_EQ(layout.statistics()[0].range.begin, 320U);
  EXPECT_EQ(layout.statistics()[1].range.begin, 384U);
  EXPECT_EQ(layout.statistics()[1].range.size, 65U);
  EXPECT_TRUE(layout.statistics()[1].norm);
  EXPECT_EQ(layout.layers(), 3);
  EXPECT_EQ(layout.head(), 2);
}

}  // namespace
}  // namespace fedselect
