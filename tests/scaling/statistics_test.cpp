#include "scaling/statistics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "scaling/summary.hpp"

namespace fedselect {
namespace {

TEST(Statistics, IntervalOfAKnownSample) {
  const std::array values{1.0, 2.0, 3.0, 4.0};  // deviation sqrt(5/3), t(3) = 3.182446305284263
  const Estimate found = estimate(values);
  EXPECT_DOUBLE_EQ(found.mean, 2.5);
  EXPECT_NEAR(found.high - 2.5, 3.182446305284263 * std::sqrt(5.0 / 3) / 2, 1e-12);
  EXPECT_NEAR(found.high + found.low, 5.0, 1e-12);
}

TEST(Statistics, OneValueHasNoInterval) {
  const std::array values{7.0};
  const Estimate found = estimate(values);
  EXPECT_EQ(found.mean, 7.0);
  EXPECT_TRUE(std::isnan(found.low) && std::isnan(found.high));
  EXPECT_TRUE(std::isnan(estimate({}).mean));
}

TEST(Fits, FindTheFractionOfExactSeries) {
  const std::array ranks{1.0, 2.0, 4.0, 16.0};
  std::vector<double> amdahl;
  std::vector<double> gustafson;
  std::vector<double> fixed;
  for (const double p : ranks) {
    amdahl.push_back(3 * (0.1 + 0.9 / p));
    gustafson.push_back(0.2 + 0.8 * p);
    fixed.push_back(5 * (0.3 + 0.7 * p));
  }
  EXPECT_NEAR(amdahl_fraction(ranks, amdahl), 0.1, 1e-12);
  EXPECT_NEAR(gustafson_fraction(ranks, gustafson), 0.2, 1e-12);
  EXPECT_NEAR(fixed_fraction(ranks, fixed), 0.3, 1e-12);
}

TEST(Fits, LeastSquaresByHand) {
  const std::array ranks{1.0, 2.0, 4.0};
  const std::array seconds{2.0, 2.0, 1.0};
  // Means 7/12 and 5/3; products 5/36 - 1/36 + 8/36 = 1/3, squares 25/144 + 1/144 + 16/144 = 7/24:
  // slope 8/7, constant 5/3 - 2/3 = 1.
  EXPECT_NEAR(amdahl_fraction(ranks, seconds), 1 / (1 + 8.0 / 7), 1e-12);
}

TEST(Fits, OnePointFitsNothing) {
  const std::array one{1.0};
  EXPECT_TRUE(std::isnan(amdahl_fraction(one, one)));
  EXPECT_TRUE(std::isnan(gustafson_fraction(one, one)));
  EXPECT_TRUE(std::isnan(fixed_fraction(one, one)));
}

/// A point whose ranks all take so many seconds, the same in every round.
MeasuredPoint steady_point(int ranks, std::vector<double> seconds_of_repeat, double flops) {
  MeasuredPoint point;
  point.value = point.ranks = ranks;
  for (const double seconds : seconds_of_repeat) {
    MeasuredRound round;
    round.flops = flops;
    RankRecord rank;
    rank.seconds[static_cast<std::size_t>(Phase::train)] = seconds;
    round.ranks.assign(static_cast<std::size_t>(ranks), rank);
    point.repeats.push_back({.warmup = {}, .rounds = {round, round}});
  }
  return point;
}

ScalingStudy study_of(ScalingOver over, ScalingKind kind = ScalingKind::strong) {
  ScalingStudy study;
  study.over = over;
  study.kind = kind;
  return study;
}

TEST(Summary, StrongScalingFromTwoRanks) {
  const std::vector points{steady_point(2, {8, 6}, 1), steady_point(8, {4, 3}, 1)};
  const auto found = summarise(study_of(ScalingOver::ranks), points);
  EXPECT_EQ(found.points[0].speedup.mean, 2);  // taken for ideal
  EXPECT_EQ(found.points[1].speedup.mean, 4);  // in both repeats
  EXPECT_EQ(found.points[1].speedup.low, 4);
  EXPECT_EQ(found.points[1].efficiency.mean, 0.5);
  EXPECT_EQ(found.points[1].seconds.mean, 3.5);
  EXPECT_EQ(found.fit, "Amdahl");
  // t(p) = a + b/p with 8 and 4: b = 32/3, a = 8/3.
  EXPECT_NEAR(found.fraction.mean, 0.2, 1e-12);
}

TEST(Summary, WeakScaling) {
  const std::vector points{steady_point(1, {4}, 1), steady_point(4, {5}, 4)};
  const auto found = summarise(study_of(ScalingOver::ranks, ScalingKind::weak), points);
  EXPECT_DOUBLE_EQ(found.points[1].efficiency.mean, 0.8);
  EXPECT_DOUBLE_EQ(found.points[1].speedup.mean, 3.2);
  EXPECT_NEAR(found.fraction.mean, 0.8 / 3, 1e-12);  // 3.2 = s + (1 - s) 4
}

TEST(Summary, WeakScalingWantsTheSameWork) {
  const auto study = study_of(ScalingOver::ranks, ScalingKind::weak);
  EXPECT_EQ(caveat_of(study, {steady_point(1, {4}, 1), steady_point(4, {5}, 4)}), "");
  EXPECT_NE(caveat_of(study, {steady_point(1, {4}, 1), steady_point(4, {5}, 3)}).find("1.33 to 1"),
            std::string::npos);
}

TEST(Summary, WorkThatGrows) {
  const std::vector points{steady_point(1, {4}, 10), steady_point(1, {10}, 40)};
  const auto found = summarise(study_of(ScalingOver::clients), points);
  EXPECT_DOUBLE_EQ(found.points[1].efficiency.mean, 1.6);
  EXPECT_NEAR(found.fraction.mean, 0.5, 1e-12);  // 10 = 2 + 2 4
}

TEST(Summary, ImbalanceLeavesWaitingOut) {
  MeasuredRound round;
  RankRecord busy;
  busy.seconds[static_cast<std::size_t>(Phase::train)] = 3;
  RankRecord waiting;
  waiting.seconds[static_cast<std::size_t>(Phase::train)] = 1;
  waiting.seconds[static_cast<std::size_t>(Phase::communicate)] = 2;
  round.ranks = {busy, waiting};
  EXPECT_DOUBLE_EQ(round.imbalance(), 1.5);
  EXPECT_DOUBLE_EQ(round.seconds(), 3);
}

TEST(Summary, LeastTraffic) {
  EXPECT_EQ(least_traffic(1000, 1), 0);
  EXPECT_EQ(least_traffic(1000, 2), 1000);
  EXPECT_EQ(least_traffic(1000, 4), 1500);
}

}  // namespace
}  // namespace fedselect
