#include "fed/sharers.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "fed/shared_sum.hpp"
#include "mpi_main.hpp"

// Every rank runs every test, and adds clients of its own.
namespace fedselect {
namespace {

using testing::world;

/// Counts what is sent of 4 bytes a value: the weights.
class CountedSum final : public DeviceSum {
 public:
  void all_reduce(std::span<std::int64_t> device) override { sum_->all_reduce(device); }
  void all_reduce(std::span<std::uint32_t> device) override {
    ++weights;
    sum_->all_reduce(device);
  }
  std::string name() const override { return sum_->name(); }

  int weights = 0;  ///< how often

 private:
  std::unique_ptr<DeviceSum> sum_ = make_host_sum(world());
};

class SharersTest : public ::testing::Test {
 protected:
  struct Client {
    int id;
    MaskPtr mask;
    std::uint32_t weight = 1;
  };

  SharersTest() {
    layout_.add("a.weight", {100}, TensorKind::weight, 0);
    layout_.add("a.bias", {3}, TensorKind::bias, 0);
    global_ = {*ops_, 1, layout_.padded_size()};
    group_.emplace(*ops_, layout_, 1, Belongings{}, AlignedVector<float>(layout_.padded_size()),
                   clock_);
    sum_.emplace(*ops_, layout_, layout_.padded_size());
  }

  /// One personal index.
  MaskPtr mask(std::size_t i) const {
    std::vector<Word> words(layout_.words(), 0);
    set_bit(words.data(), i);
    return std::make_shared<const Mask>(std::move(words));
  }

  /// A round of these clients, the k-th on rank k modulo the ranks.
  /// Returns whether weights were sent; the weights must be right in any case.
  bool sends(const std::vector<Client>& cohort) {
    sum_->reset(1000);
    ClientStore store(kClients, everyone());
    std::vector<std::uint32_t> expected(layout_.padded_size(), 0);
    for (std::size_t k = 0; k < cohort.size(); ++k) {
      for (std::size_t i = 0; i < expected.size(); ++i)
        if (!cohort[k].mask || !test_bit(cohort[k].mask->words().data(), i))
          expected[i] += cohort[k].weight;
      if (static_cast<int>(k) % world().size() != world().rank()) continue;
      group_->load(store, std::vector<int>{cohort[k].id}, global_, 0);
      if (cohort[k].mask) group_->personalize(cohort[k].mask);
      sum_->add(*group_, std::vector{cohort[k].weight}, group_->parameters(), group_->mask());
    }
    return sent(expected);
  }

  bool sent(const std::vector<std::uint32_t>& expected) {
    sums_.weights = 0;
    sum_->all_reduce(sums_, world());
    EXPECT_EQ(sum_->state().weight, expected);
    return sums_.weights > 0;
  }

  static std::vector<int> everyone() {
    std::vector<int> ids(kClients);
    for (int k = 0; k < kClients; ++k) ids[static_cast<std::size_t>(k)] = k;
    return ids;
  }

  static constexpr int kClients = 8;
  const bool are_several_ = world().size() > 1;
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  ParameterLayout layout_;
  ParameterVector global_;
  PhaseClock clock_;
  std::optional<ClientGroup> group_;
  std::optional<SharedSum> sum_;
  CountedSum sums_;
};

TEST_F(SharersTest, WeightsWithoutMasksAreNotSent) {
  EXPECT_FALSE(sends({{0, nullptr, 3}, {1, nullptr, 4}, {2, nullptr, 5}, {3, nullptr, 1}}));
  EXPECT_FALSE(sends({{4, nullptr, 9}, {1, nullptr, 4}}));  // some ranks have nobody
  EXPECT_FALSE(sends({}));
}

TEST_F(SharersTest, AMaskOfAllIsNotSentWhereEveryRankHasIt) {
  EXPECT_FALSE(sends({{0, mask(5), 2}, {1, mask(5)}, {2, mask(5), 7}, {3, mask(5)}}));
  // Ranks without a client don't know it.
  EXPECT_EQ(sends({{0, mask(6), 2}}), are_several_);
}

TEST_F(SharersTest, MasksAreSentOnceUntilOneChanges) {
  const std::vector<Client> cohort{{0, mask(1)}, {1, mask(2), 3}, {2, nullptr}, {3, mask(70)}};
  EXPECT_EQ(sends(cohort), are_several_);
  EXPECT_FALSE(sends(cohort));
  // Trained by other ranks: the sum is the same.
  EXPECT_FALSE(sends({cohort[3], cohort[2], cohort[1], cohort[0]}));
  auto other = cohort;
  other[1].mask = mask(3);
  EXPECT_EQ(sends(other), are_several_);
  EXPECT_FALSE(sends(other));
  other[1].weight = 4;
  EXPECT_EQ(sends(other), are_several_);
  EXPECT_EQ(sends(cohort), are_several_);  // only the last one is kept
}

TEST_F(SharersTest, ARoundThatWasGivenUpChangesNothing) {
  const std::vector<Client> cohort{{0, mask(1)}, {1, mask(2)}, {2, mask(3)}, {3, nullptr}};
  EXPECT_EQ(sends(cohort), are_several_);
  sum_->reset(1000);
  sum_->reset(1000);
  EXPECT_FALSE(sends(cohort));
}

TEST_F(SharersTest, WhatWasRestoredIsSent) {
  SumState state{.low = std::vector<std::int64_t>(layout_.padded_size()),
                 .high = {},
                 .weight = std::vector<std::uint32_t>(layout_.padded_size(), 7)};
  sum_->reset(1000);
  if (world().is_root()) sum_->restore(state);
  EXPECT_EQ(sent(state.weight), are_several_);
}

}  // namespace
}  // namespace fedselect
