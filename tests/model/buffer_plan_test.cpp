// Arrays that are in use at the same time must not overlap.

#include "model/buffer_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/network.hpp"

namespace fedselect {
namespace {

TEST(BufferPlan, FillsGapsAndSeparatesWhatLivesTogether) {
  const std::vector<Lifetime> arrays{{0, 3, 20}, {0, 1, 16}, {1, 4, 5},
                                     {2, 3, 17}, {4, 5, 64}, {2, 2, 0}};
  const MemoryPlan plan = plan_memory(arrays);
  EXPECT_EQ(plan.offsets[0], 0U);
  EXPECT_EQ(plan.offsets[1], 32U);
  EXPECT_EQ(plan.offsets[2], 48U);
  EXPECT_EQ(plan.offsets[3], 64U);  // 17 values don't fit into the 16 that number 1 left
  EXPECT_EQ(plan.offsets[4], 64U);
  EXPECT_EQ(plan.size, 128U);
  EXPECT_EQ(plan_memory({}).size, 0U);
}

TEST(BufferPlan, EvaluationOfAResNetNeedsThreeOfItsValues) {
  const Network network({.name = ModelKind::resnet20}, {32, 32, 3}, 10);
  constexpr std::size_t kWidest = 32 * 32 * 16;
  constexpr std::size_t kImage = 3 * 32 * 32;  // 3072, a multiple of a cache line
  EXPECT_LE(plan_values(network.graph(), 1, false).size, 3 * kWidest + kImage);
  EXPECT_GE(plan_values(network.graph(), 1, true).size, 15 * kWidest);
  EXPECT_LE(plan_backward(network.graph(), 1).memory.size, 3 * kWidest + kImage);
  EXPECT_EQ(plan_values(network.graph(), 7, false).offsets[0], 0U);
}

}  // namespace
}  // namespace fedselect
