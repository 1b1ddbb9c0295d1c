#include "sweep/schedule.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace fedselect::sweep {
namespace {

/// Candidates of one method and one seed each.
Plan plan_of(std::size_t candidates, std::int64_t rounds) {
  Plan plan;
  for (std::size_t i = 0; i < candidates; ++i) {
    plan.candidates.push_back({.method = "m", .values = {}, .trials = {i}});
    plan.trials.push_back({.id = std::to_string(i),
                           .candidate = i,
                           .seed = 1,
                           .overrides = {},
                           .rounds = rounds,
                           .work = 1});
  }
  return plan;
}

/// Hands out all that is ready, as "trial:rounds".
std::vector<std::pair<std::size_t, std::int64_t>> take_all(Schedule& schedule) {
  std::vector<std::pair<std::size_t, std::int64_t>> tasks;
  while (const auto task = schedule.next()) tasks.emplace_back(task->trial, task->rounds);
  return tasks;
}

using Tasks = std::vector<std::pair<std::size_t, std::int64_t>>;

TEST(Schedule, LongestExpectedFirst) {
  Plan plan = plan_of(3, 10);
  plan.trials[1].work = 5;
  plan.trials[2].work = 3;
  Schedule schedule(plan, {});
  EXPECT_EQ(take_all(schedule), (Tasks{{1, 10}, {2, 10}, {0, 10}}));
  EXPECT_EQ(schedule.total(), 3);
  EXPECT_FALSE(schedule.over());
  for (const std::size_t trial : {0U, 1U, 2U}) schedule.finish({trial, 10}, 0.5, 1);
  EXPECT_TRUE(schedule.over());
  EXPECT_EQ(schedule.done(), 3);
}

TEST(Schedule, MethodsAreExpectedToTakeWhatTheyTook) {
  Plan plan = plan_of(4, 10);
  plan.candidates[2].method = plan.candidates[3].method = "slow";
  Schedule schedule(plan, {});
  schedule.finish({0, 10}, 0.5, 1);  // of an earlier program
  schedule.finish({2, 10}, 0.5, 9);
  EXPECT_EQ(take_all(schedule), (Tasks{{3, 10}, {1, 10}}));
}

TEST(Schedule, AMethodThatDidNotRunYetIsExpectedToTakeWhatOthersTook) {
  Plan plan = plan_of(3, 10);
  plan.trials[1].work = 7;
  plan.trials[2].work = 5;
  plan.candidates[2].method = "new";
  Schedule schedule(plan, {});
  schedule.finish({0, 10}, 0.5, 0.001);
  EXPECT_EQ(take_all(schedule), (Tasks{{1, 10}, {2, 10}}));
}

TEST(Schedule, WhatIsLeftGoesByTimesNotByTasks) {
  Plan plan = plan_of(5, 10);
  plan.candidates[2].method = plan.candidates[3].method = "slow";
  plan.trials[1].work = 3;
  Schedule schedule(plan, {});
  schedule.finish({0, 10}, 0.5, 1);
  EXPECT_DOUBLE_EQ(schedule.seconds_left(), 3 + 1 + 1 + 1);  // nobody knows how slow "slow" is
  schedule.finish({2, 10}, 0.5, 9);
  EXPECT_DOUBLE_EQ(schedule.seconds_left(), 3 + 1 + 9);
  schedule.finish({4, 10}, std::numeric_limits<double>::quiet_NaN(), 0);  // it failed
  EXPECT_DOUBLE_EQ(schedule.seconds_left(), 3 + 9);
  schedule.finish({1, 10}, 0.5, 3);
  schedule.finish({3, 10}, 0.5, 9);
  EXPECT_EQ(schedule.seconds_left(), 0);
}

TEST(Schedule, WhatIsLeftCountsRungsToCome) {
  const Plan plan = plan_of(4, 20);
  Schedule schedule(plan, {.first = 5, .factor = 4, .waits = true});
  for (std::size_t trial = 0; trial < 4; ++trial) schedule.finish({trial, 5}, 0.5, 5);
  EXPECT_DOUBLE_EQ(schedule.seconds_left(), 15);  // one goes on for 15 rounds
}

TEST(Schedule, ATaskThatWasGivenBackComesAgain) {
  const Plan plan = plan_of(1, 10);
  Schedule schedule(plan, {});
  EXPECT_EQ(schedule.waiting(), 1);
  const auto task = schedule.next();
  EXPECT_FALSE(schedule.next());
  EXPECT_EQ(schedule.waiting(), 0);
  schedule.give_back(*task);
  EXPECT_EQ(schedule.waiting(), 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{0, 10}}));
}

TEST(Schedule, HalvingLetsTheBestThirdGoOn) {
  const Plan plan = plan_of(9, 20);
  Schedule schedule(plan, {.first = 2, .factor = 3, .waits = true});
  EXPECT_EQ(schedule.total(), 9 + 3 + 1 + 1);  // rungs of 2, 6, 18 and 20 rounds
  EXPECT_EQ(take_all(schedule).size(), 9);
  for (std::size_t trial = 0; trial < 8; ++trial)
    schedule.finish({trial, 2}, static_cast<double>(trial), 1);
  EXPECT_FALSE(schedule.next());  // the ninth is not there
  EXPECT_EQ(schedule.waiting(), 0);
  EXPECT_FALSE(schedule.over());
  schedule.finish({8, 2}, -1, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{5, 6}, {6, 6}, {7, 6}}));
  schedule.finish({5, 6}, 3, 1);
  schedule.finish({6, 6}, 4, 1);
  schedule.finish({7, 6}, 4, 1);  // the earlier of equals goes on
  EXPECT_EQ(take_all(schedule), (Tasks{{6, 18}}));
  schedule.finish({6, 18}, 1, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{6, 20}}));
  schedule.finish({6, 20}, 1, 1);
  EXPECT_TRUE(schedule.over());
  EXPECT_EQ(schedule.done(), schedule.total());
}

TEST(Schedule, WithoutWaitingTheBestSoFarGoOn) {
  const Plan plan = plan_of(6, 20);
  Schedule schedule(plan, {.first = 5, .factor = 3, .waits = false});
  EXPECT_EQ(take_all(schedule).size(), 6);
  schedule.finish({0, 5}, 0.1, 1);
  schedule.finish({1, 5}, 0.2, 1);
  EXPECT_FALSE(schedule.next());
  schedule.finish({2, 5}, 0.15, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{1, 15}}));  // one of three
  schedule.finish({3, 5}, 0.9, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{3, 15}}));  // one of four, the best of which is another now
  schedule.finish({4, 5}, 0.01, 1);
  schedule.finish({5, 5}, 0.02, 1);
  EXPECT_FALSE(schedule.next());  // two of six: both are on their way
  schedule.finish({1, 15}, 0.3, 1);
  EXPECT_FALSE(schedule.over());
  schedule.finish({3, 15}, 0.2, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{1, 20}}));  // nobody else can come: one goes on
  schedule.finish({1, 20}, 0.3, 1);
  EXPECT_TRUE(schedule.over());
}

TEST(Schedule, SeedsAreJudgedTogetherAndAFailureIsTheLast) {
  Plan plan = plan_of(2, 20);
  for (const std::size_t candidate : {0U, 1U}) {  // a second seed of each
    plan.candidates[candidate].trials.push_back(plan.trials.size());
    Trial trial = plan.trials[candidate];
    trial.seed = 2;
    plan.trials.push_back(trial);
  }
  Schedule schedule(plan, {.first = 5, .factor = 2, .waits = true});
  EXPECT_EQ(take_all(schedule).size(), 4);
  schedule.finish({0, 5}, 0.9, 1);
  schedule.finish({2, 5}, std::numeric_limits<double>::quiet_NaN(), 1);
  schedule.finish({1, 5}, 0.1, 1);
  EXPECT_FALSE(schedule.next());
  schedule.finish({3, 5}, 0.2, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{1, 10}, {3, 10}}));
}

/// Records of an earlier program come trial by trial up to the rung that each reached, before the
/// rungs below are all there.
TEST(Schedule, EachRungIsJudgedByItsOwnScores) {
  Plan plan = plan_of(4, 20);
  for (std::size_t candidate = 0; candidate < 4; ++candidate) {  // a second seed of each
    plan.candidates[candidate].trials.push_back(plan.trials.size());
    Trial trial = plan.trials[candidate];
    trial.seed = 2;
    plan.trials.push_back(trial);
  }
  Schedule schedule(plan, {.first = 5, .factor = 2, .waits = true});
  for (const std::size_t trial : {0U, 4U, 1U, 5U}) schedule.finish({trial, 5}, 0.5, 1);
  for (const std::size_t trial : {2U, 6U}) schedule.finish({trial, 5}, 0.4, 1);
  schedule.finish({0, 10}, 0.01, 1);  // worse than it was
  schedule.finish({3, 5}, 0.1, 1);
  EXPECT_EQ(take_all(schedule),
            (Tasks{{4, 10}, {7, 5}}));  // it was let go on, so its other seed too
  schedule.finish({4, 10}, 0.01, 1);
  schedule.finish({7, 5}, 0.1, 1);
  EXPECT_EQ(take_all(schedule), (Tasks{{1, 10}, {5, 10}}));  // the best two after 5 rounds
}

TEST(Schedule, TotalGrowsWhenMoreGoOn) {
  const Plan plan = plan_of(6, 20);
  Schedule schedule(plan, {.first = 10, .factor = 3, .waits = false});
  take_all(schedule);
  EXPECT_EQ(schedule.total(), 6 + 2);
  for (std::size_t trial = 0; trial < 6; ++trial)  // each is the best so far
    schedule.finish({trial, 10}, static_cast<double>(trial), 1);
  for (auto task = schedule.next(); task; task = schedule.next()) schedule.finish(*task, 1, 1);
  EXPECT_TRUE(schedule.over());
  EXPECT_GT(schedule.done(), 6 + 2);
  EXPECT_EQ(schedule.done(), schedule.total());
}

TEST(Schedule, IfAllFailNobodyGoesOn) {
  const Plan plan = plan_of(2, 20);
  Schedule schedule(plan, {.first = 5, .factor = 2, .waits = true});
  take_all(schedule);
  for (const std::size_t trial : {0U, 1U})
    schedule.finish({trial, 5}, std::numeric_limits<double>::quiet_NaN(), 1);
  EXPECT_TRUE(schedule.over());
}

}  // namespace
}  // namespace fedselect::sweep
