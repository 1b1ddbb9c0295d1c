#include "data/shares.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace fedselect {
namespace {

std::int64_t sum(const Shares& shares) {
  return std::accumulate(shares.begin(), shares.end(), std::int64_t{0});
}

TEST(Shares, EvenlyGivesTheFirstMore) {
  EXPECT_EQ(share_evenly(7, 3), (Shares{3, 2, 2}));
  EXPECT_EQ(share_evenly(6, 3), (Shares{2, 2, 2}));
  EXPECT_EQ(share_evenly(2, 3), (Shares{1, 1, 0}));
}

TEST(Shares, ByWeightCutsAtCumulatedWeights) {
  EXPECT_EQ(share_by_weight(10, std::vector<double>{1, 2, 2}), (Shares{2, 4, 4}));
  // Cuts of 10 at 1/3 and 2/3: 3 and 6.
  EXPECT_EQ(share_by_weight(10, std::vector<double>{1, 1, 1}), (Shares{3, 3, 4}));
  EXPECT_EQ(share_by_weight(10, std::vector<double>{0, 1, 0}), (Shares{0, 10, 0}));
  EXPECT_EQ(share_by_weight(0, std::vector<double>{1, 1}), (Shares{0, 0}));
}

TEST(Shares, ByWeightLosesNothingToRounding) {
  RandomStream stream(1, Purpose::test);
  for (std::uint32_t i = 0; i < 200; ++i) {
    auto weights = draw_dirichlet_weights(0.1, 1 + i, RandomStream(1, Purpose::test, i));
    if (weights.size() > 1 && weights.front() > 0) weights.back() = 0;  // must stay without
    const auto n = static_cast<std::int64_t>(stream.below(100000));
    const auto shares = share_by_weight(n, weights);
    EXPECT_EQ(sum(shares), n);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      EXPECT_GE(shares[k], 0);
      if (weights[k] == 0) {
        EXPECT_EQ(shares[k], 0);
      }
    }
  }
}

TEST(Shares, ByRemainderIsHandWorked) {
  // 10 by 1 : 2 : 4 = 1 3/7, 2 6/7, 5 5/7: whole parts 1, 2, 5; the two left go to the second and
  // third.
  EXPECT_EQ(share_by_remainder(10, std::vector<std::int64_t>{1, 2, 4}), (Shares{1, 3, 6}));
  // Equal remainders: the lower taker first; no weight, no share.
  EXPECT_EQ(share_by_remainder(3, std::vector<std::int64_t>{1, 0, 1}), (Shares{2, 0, 1}));
  EXPECT_EQ(share_by_remainder(0, std::vector<std::int64_t>{5, 5}), (Shares{0, 0}));
}

TEST(Shares, ByRemainderIsExactForLargeNumbers) {
  constexpr std::int64_t kLarge = 2147483647;
  EXPECT_EQ(share_by_remainder(kLarge, std::vector<std::int64_t>{kLarge - 1, 1}),
            (Shares{kLarge - 1, 1}));
}

TEST(Shares, NobodyIsLeftOut) {
  Shares shares{0, 5, 0, 4, 0};
  leave_nobody_out(shares);
  EXPECT_EQ(sum(shares), 9);
  EXPECT_EQ(shares, (Shares{1, 3, 1, 3, 1}));
  Shares scarce{3, 0, 0};
  leave_nobody_out(scarce);
  EXPECT_EQ(scarce, (Shares{1, 1, 1}));
}

TEST(Shares, DirichletWeightsNeverVanishAltogether) {
  // For so small a beta every gamma variate underflows: one taker then gets all.
  const auto weights = draw_dirichlet_weights(1e-6, 20, RandomStream(3, Purpose::test));
  EXPECT_GT(std::accumulate(weights.begin(), weights.end(), 0.0), 0);
  for (const double weight : weights) EXPECT_TRUE(std::isfinite(weight) && weight >= 0);
}

}  // namespace
}  // namespace fedselect
