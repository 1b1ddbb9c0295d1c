#include "fed/assignment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace fedselect {
namespace {

TEST(AssignShards, TakesLongestWorkFirst) {
  // 7 and 6 open the two ranks, 5 joins 6, 4 joins 7, 3 finds 11 and 11: the lower rank.
  const std::vector<double> work{3, 5, 7, 4, 6};
  EXPECT_EQ(assign_shards(work, 2), (std::vector<int>{0, 1, 0, 0, 1}));
}

TEST(AssignShards, LeavesRanksEmptyWhereClientsAreFew) {
  EXPECT_EQ(assign_shards(std::vector<double>{1, 1}, 4), (std::vector<int>{0, 1}));
  EXPECT_TRUE(assign_shards(std::vector<double>{}, 4).empty());
}

TEST(DrawCohort, HasFloorOfKTimesN) {
  const auto size = [](double k, std::size_t n) {
    return draw_cohort({k, Sampling::per_round}, 1, n, 0).size();
  };
  EXPECT_EQ(size(1, 10), 10U);
  EXPECT_EQ(size(0.3, 10), 3U);  // although 0.3 is less than 3/10 in binary
  EXPECT_EQ(size(0.29, 10), 2U);
  EXPECT_EQ(size(0.001, 10), 1U);
}

TEST(DrawCohort, IsADifferentSortedSetEveryRoundUnlessFixed) {
  std::vector<int> times(20, 0);
  std::set<std::vector<int>> cohorts;
  for (int t = 0; t < 200; ++t) {
    const auto cohort = draw_cohort({0.25, Sampling::per_round}, 9, 20, t);
    EXPECT_TRUE(std::is_sorted(cohort.begin(), cohort.end()));
    EXPECT_EQ(std::set<int>(cohort.begin(), cohort.end()).size(), 5U);
    for (const int client : cohort) ++times[static_cast<std::size_t>(client)];
    cohorts.insert(cohort);
    EXPECT_EQ(draw_cohort({0.25, Sampling::fixed}, 9, 20, t),
              draw_cohort({0.25, Sampling::fixed}, 9, 20, 0));
  }
  EXPECT_GT(cohorts.size(), 190U);
  // Each client is expected 50 times, standard deviation about 6.
  for (const int count : times) EXPECT_NEAR(count, 50, 25);
}

/// One that is away leaves the cohort that was drawn from everybody, and nobody takes its place.
TEST(DrawCohort, AFixedOneStaysWhileOthersAreAway) {
  const FederationConfig config{0.34, Sampling::fixed};
  const auto whole = draw_cohort(config, 9, 12, 0);
  ASSERT_EQ(whole.size(), 4U);
  for (int client = 0; client < 12; ++client) {
    const Absences away{{{.client = client, .first = 1, .end = 2}}};
    auto expected = whole;
    EXPECT_EQ(draw_cohort(config, 9, 12, 0, away), expected);
    std::erase(expected, client);
    EXPECT_EQ(draw_cohort(config, 9, 12, 1, away), expected) << client;
  }
}

TEST(DrawCohort, NewClientsNeverTakePart) {
  const FederationConfig config{.participation = 0.5, .new_clients = 4};
  std::set<int> seen;
  for (int t = 0; t < 50; ++t) {
    const auto cohort = draw_cohort(config, 9, 14, t);
    EXPECT_EQ(cohort.size(), 5U);  // of ten
    seen.insert(cohort.begin(), cohort.end());
  }
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_EQ(*seen.rbegin(), 9);
}

TEST(AssignShards, NewClientsAreSpreadApart) {
  const std::vector<double> work{9, 1, 1, 9, 9};
  EXPECT_EQ(assign_shards(work, 3, 2), (std::vector<int>{0, 1, 1, 0, 1}));
  EXPECT_EQ(assign_shards(work, 5, 2), assign_shards(work, 2));
}

}  // namespace
}  // namespace fedselect
