#include "fed/summary.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace fedselect {
namespace {

constexpr double kNone = ClientRecord::kNone;

/// 0.1, 0.2, 0.4, 0.9 with 10, 20, 30, 40 test samples; one client was not tested.
TEST(Summarize, ByHand) {
  const std::vector<double> accuracy{0.9, kNone, 0.1, 0.4, 0.2};
  const std::vector<std::int64_t> samples{40, 1000, 10, 30, 20};
  const auto summary = summarize(accuracy, samples);
  EXPECT_DOUBLE_EQ(summary.mean, 0.4);
  EXPECT_DOUBLE_EQ(summary.mean_by_samples, (36.0 + 1 + 12 + 4) / 100);
  // deviations 0.5, 0.3, 0, 0.2: squares 0.25 + 0.09 + 0.04 = 0.38
  EXPECT_DOUBLE_EQ(summary.deviation, std::sqrt(0.38 / 4));
  EXPECT_EQ(summary.worst, 0.1);
  EXPECT_DOUBLE_EQ(summary.percentile_10, 0.13);           // number 0.3: 0.1 + 0.3 x 0.1
  EXPECT_DOUBLE_EQ(summary.percentile_25, 0.175);          // number 0.75
  EXPECT_DOUBLE_EQ(summary.percentile_50, 0.3);            // number 1.5: 0.2 + 0.5 x 0.2
  EXPECT_DOUBLE_EQ(summary.percentile_75, 0.525);          // number 2.25: 0.4 + 0.25 x 0.5
  EXPECT_DOUBLE_EQ(summary.percentile_90, 0.75);           // number 2.7: 0.4 + 0.7 x 0.5
  EXPECT_EQ(summary.worst_decile, 0.1);                    // one of four
  EXPECT_DOUBLE_EQ(summary.jain, 1.6 * 1.6 / (4 * 1.02));  // squares .01 + .04 + .16 + .81
}

TEST(Summarize, TheWorstDecileIsRoundedUp) {
  std::vector<double> accuracy;
  for (int i = 0; i <= 10; ++i) accuracy.push_back(i / 16.0);
  const std::vector<std::int64_t> samples(accuracy.size(), 1);
  EXPECT_EQ(summarize(accuracy, samples).worst_decile, 1 / 32.0);  // two of eleven
  accuracy.pop_back();
  EXPECT_EQ(summarize(accuracy, samples).worst_decile, 0);  // one of ten
}

TEST(Summarize, OneClientAndNoneAndAllWrong) {
  const std::vector<double> accuracy{0.25, kNone, 0};
  const std::vector<std::int64_t> samples{4, 4, 4};
  const auto one = summarize(std::span(accuracy).first(2), samples);
  EXPECT_EQ(one.percentile_90, 0.25);
  EXPECT_EQ(one.deviation, 0);
  EXPECT_EQ(one.jain, 1);
  EXPECT_TRUE(std::isnan(summarize(std::span(accuracy).subspan(1, 1), samples).jain));
  EXPECT_TRUE(std::isnan(summarize(std::span(accuracy).subspan(1, 1), samples).mean));
  EXPECT_EQ(summarize(std::span(accuracy).last(1), samples).jain, 1);
}

RoundRecord round_of(double first, double second) {
  RoundRecord round;
  round.clients.push_back({.client = 0, .accuracy = first, .gradients = 10, .bytes_up = 3});
  round.clients.push_back({.client = 1, .accuracy = second, .gradients = 5, .bytes_down = 4});
  return round;
}

TEST(CostToTarget, CountsTheRoundsUpToTheFirstThatReachesIt) {
  const std::vector<RoundRecord> rounds{round_of(kNone, kNone), round_of(0.25, 0.5),
                                        round_of(kNone, 0.5), round_of(1, 1)};
  const auto cost_of = [&](std::size_t first, double target) {
    CostMeter meter(target);
    for (std::size_t t = 0; t < first; ++t) meter.add(rounds[t]);
    return meter.cost();
  };
  const auto cost = cost_of(4, 0.5);
  EXPECT_EQ(cost.rounds, 3);
  EXPECT_EQ(cost.bytes, 21);
  EXPECT_EQ(cost.gradients, 45);
  EXPECT_EQ(cost_of(4, 0.375).rounds, 2);
  EXPECT_EQ(cost_of(1, 0.1).rounds, -1);
  EXPECT_EQ(cost_of(1, 0.1).bytes, -1);
}

}  // namespace
}  // namespace fedselect
