#include "fed/robust_merge.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "mpi_main.hpp"

namespace fedselect {
namespace {

using testing::world;
constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

float merged(Merge merge, double trim, std::vector<float> values) {
  return merge_values(merge, trim, values);
}

TEST(RobustMerge, TheMedianIsTheMiddle) {
  EXPECT_EQ(merged(Merge::median, 0, {4}), 4);
  EXPECT_EQ(merged(Merge::median, 0, {4, 1}), 2.5F);
  EXPECT_EQ(merged(Merge::median, 0, {1000, 3, -7}), 3);
  EXPECT_EQ(merged(Merge::median, 0, {9, 1, 3, 1000}), 6);
  EXPECT_EQ(merged(Merge::median, 0, {2, 2, 2, -900, 800}), 2);
}

TEST(RobustMerge, TheTrimmedMeanCutsBothEnds) {
  // floor(0.2 * 5) = 1 at either end; floor(0.2 * 4) = 0; floor(0.49 * 3) = 1; floor(0.25 * 8) = 2.
  EXPECT_EQ(merged(Merge::trimmed_mean, 0.2, {1000, 3, 4, 8, -50}), 5);
  EXPECT_EQ(merged(Merge::trimmed_mean, 0.2, {1, 2, 3, 10}), 4);
  EXPECT_EQ(merged(Merge::trimmed_mean, 0.49, {7, -1, 100}), 7);
  EXPECT_EQ(merged(Merge::trimmed_mean, 0.25, {8, 7, 6, 5, 4, 3, 2, 1}), 4.5F);
  EXPECT_EQ(merged(Merge::trimmed_mean, 0, {1, 2, 6}), 3);
  EXPECT_EQ(merged(Merge::trimmed_mean, 0.4999999999, {1, 2, 3, 4}), 2.5F);
  // 0.29 * 100 is less than 29 in binary. 0, ..., 99 but for a million at the end of the middle 42.
  std::vector<float> hundred(100);
  std::iota(hundred.begin(), hundred.end(), 0.0F);
  for (std::size_t i = 71; i < 100; ++i) hundred[i] = 1e6F;
  EXPECT_EQ(merged(Merge::trimmed_mean, 0.29, hundred), 49.5F);
}

/// Clients 0 ... 6 with three indices: everyone shares 10 k at the first, the even ones k at the
/// second, nobody the third. Client k belongs to rank k mod the number of ranks.
TEST(RobustMerge, SharersOfAllRanksAreMerged) {
  constexpr int kClients = 7;
  Messages mine(3);
  for (int k = world().rank(); k < kClients; k += world().size())
    mine.add(k, std::vector{10.0F * static_cast<float>(k),
                            k % 2 == 0 ? static_cast<float>(k) : kNone, kNone});
  const auto own = merge_uploads(world(), mine, kClients, Merge::median, 0);
  ASSERT_EQ(own.size(), 3U);
  // One rank has each index; the others say NaN.
  const std::vector<float> expected{30, 3};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    std::vector<std::uint32_t> count{static_cast<std::uint32_t>(!std::isnan(own[i]))};
    if (!std::isnan(own[i])) {
      EXPECT_EQ(own[i], expected[i]);
    }
    world().all_reduce_sum(std::span(count));
    EXPECT_EQ(count[0], 1U);
  }
  EXPECT_TRUE(std::isnan(own[2]));
}

TEST(RobustMerge, NoUploadsNoValues) {
  const auto own = merge_uploads(world(), Messages(5), 0, Merge::trimmed_mean, 0.1);
  ASSERT_EQ(own.size(), 5U);
  for (const float value : own) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace fedselect
