#include "data/partition.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>

#include "base/error.hpp"

namespace fedselect {
namespace {

using Indices = Partition::Indices;
using Labels = std::vector<std::int32_t>;

constexpr int kClasses = 10;
constexpr std::uint64_t kSeed = 1;

/// n labels, classes in turn.
Labels make_labels(std::size_t n, int classes = kClasses) {
  Labels labels(n);
  for (std::size_t i = 0; i < n; ++i)
    labels[i] = static_cast<std::int32_t>(i % static_cast<std::size_t>(classes));
  return labels;
}

const Labels kTrain = make_labels(60000);
const Labels kTest = make_labels(10000);

DataConfig make_config(PartitionKind kind, std::int64_t clients) {
  DataConfig config;
  config.partition = kind;
  config.clients = clients;
  return config;
}

Partition draw(const DataConfig& config, std::uint64_t seed = kSeed, const Labels& train = kTrain,
               const Labels& test = kTest, int classes = kClasses) {
  return draw_partition(config, seed, classes, train, test);
}

/// The message with which drawing is refused.
std::string refusal(const DataConfig& config, const Labels& train = kTrain,
                    const Labels& test = kTest, int classes = kClasses) {
  try {
    draw(config, kSeed, train, test, classes);
  } catch (const InputError& error) {
    return error.what();
  }
  return "not refused";
}

void expect_says(const std::string& message, const std::vector<std::string>& parts) {
  for (const auto& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

std::size_t count_samples(const std::vector<Indices>& split) {
  return std::accumulate(split.begin(), split.end(), std::size_t{0},
                         [](std::size_t n, const Indices& one) { return n + one.size(); });
}

/// What holds for every split: indices ascend, exist, and nobody shares one.
void expect_sound(const std::vector<Indices>& split, const DataConfig& config,
                  const Labels& labels) {
  ASSERT_EQ(static_cast<std::int64_t>(split.size()), config.clients);
  std::vector<int> owners(labels.size());
  for (const auto& indices : split) {
    EXPECT_FALSE(indices.empty());
    EXPECT_TRUE(std::is_sorted(indices.begin(), indices.end()));
    for (const auto i : indices) {
      ASSERT_GE(i, 0);
      ASSERT_LT(static_cast<std::size_t>(i), labels.size());
      ++owners[static_cast<std::size_t>(i)];
    }
  }
  EXPECT_LE(*std::max_element(owners.begin(), owners.end()), 1);
}

std::vector<std::size_t> sizes_of(const std::vector<Indices>& split) {
  std::vector<std::size_t> sizes;
  for (const auto& indices : split) sizes.push_back(indices.size());
  return sizes;
}

// Written down from the program itself: what a seed stands for must not change between versions.
TEST(DrawPartition, KnownAnswers) {
  const auto labels = make_labels(12, 2);
  auto config = make_config(PartitionKind::shards, 3);
  const auto shards = draw(config, kSeed, labels, labels, 2);
  EXPECT_EQ(shards.train, (std::vector<Indices>{{0, 2, 5, 7}, {1, 3, 9, 11}, {4, 6, 8, 10}}));
  EXPECT_EQ(shards.test, (std::vector<Indices>{{0, 1, 2, 3}, {5, 7, 9, 11}, {4, 6, 8, 10}}));
  config.partition = PartitionKind::iid;
  EXPECT_EQ(draw(config, kSeed, labels, labels, 2).train,
            (std::vector<Indices>{{2, 3, 8, 10}, {0, 4, 6, 7}, {1, 5, 9, 11}}));
  config.partition = PartitionKind::dirichlet;
  config.min_samples = 1;
  EXPECT_EQ(draw(config, kSeed, labels, labels, 2).train,
            (std::vector<Indices>{{0, 2, 4, 6, 8}, {1, 3, 7, 9, 11}, {5, 10}}));
  config.partition = PartitionKind::quantity;
  EXPECT_EQ(draw(config, kSeed, labels, labels, 2).train,
            (std::vector<Indices>{{10}, {0, 1, 2, 3, 4, 6, 7, 8, 9}, {5, 11}}));
}

class AnyKind : public ::testing::TestWithParam<PartitionKind> {};

TEST_P(AnyKind, OwnsEverySampleOnce) {
  const auto config = make_config(GetParam(), 20);
  const auto partition = draw(config);
  expect_sound(partition.train, config, kTrain);
  expect_sound(partition.test, config, kTest);
  EXPECT_EQ(count_samples(partition.train), kTrain.size());
  EXPECT_EQ(count_samples(partition.test), kTest.size());
  EXPECT_EQ(partition.clients(), 20U);
}

TEST_P(AnyKind, DependsOnTheSeedOnly) {
  const auto config = make_config(GetParam(), 20);
  const auto one = draw(config, 1);
  const auto again = draw(config, 1);
  const auto other = draw(config, 2);
  EXPECT_EQ(one.train, again.train);
  EXPECT_EQ(one.test, again.test);
  EXPECT_NE(one.train, other.train);
  EXPECT_NE(one.test, other.test);
}

TEST_P(AnyKind, OneClientOwnsAll) {
  auto config = make_config(GetParam(), 1);
  config.classes_per_client = kClasses;
  const auto partition = draw(config);
  EXPECT_EQ(partition.train[0].size(), kTrain.size());
  EXPECT_EQ(partition.test[0].size(), kTest.size());
}

TEST_P(AnyKind, RefusesMoreClientsThanSamples) {
  expect_says(refusal(make_config(GetParam(), 10010)),
              {"data.clients = 10010", "10000 samples of the test part", "10000 or less"});
}

INSTANTIATE_TEST_SUITE_P(Partition, AnyKind,
                         ::testing::Values(PartitionKind::shards, PartitionKind::dirichlet,
                                           PartitionKind::iid, PartitionKind::quantity),
                         [](const auto& kind) {
                           return std::string(
                               kPartitionNames[static_cast<std::size_t>(kind.param)]);
                         });

// ---- shards

// 4 clients, 2 classes, 1 class each: 2 shards per class. Class 0 trains on 0 2 4 6 8, in shards of
// 3 and 2; class 1 on 1 3 5 7. Test: class 0 on 2 3 4, class 1 on 0 1 5.
TEST(Shards, AreHandWorked) {
  const Labels train{0, 1, 0, 1, 0, 1, 0, 1, 0};
  const Labels test{1, 1, 0, 0, 0, 1};
  auto config = make_config(PartitionKind::shards, 4);
  config.classes_per_client = 1;
  std::set<std::vector<Indices>> seen;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto partition = draw(config, seed, train, test, 2);
    const std::set<Indices> train_shards(partition.train.begin(), partition.train.end());
    EXPECT_EQ(train_shards, (std::set<Indices>{{0, 2, 4}, {6, 8}, {1, 3}, {5, 7}}));
    const std::set<Indices> test_shards(partition.test.begin(), partition.test.end());
    EXPECT_EQ(test_shards, (std::set<Indices>{{2, 3}, {4}, {0, 1}, {5}}));
    for (std::size_t k = 0; k < 4; ++k)
      EXPECT_EQ(train[static_cast<std::size_t>(partition.train[k][0])],
                test[static_cast<std::size_t>(partition.test[k][0])])
          << "both splits of a client have the same class";
    seen.insert(partition.train);
  }
  EXPECT_EQ(seen.size(), 24U) << "every order of the 4 shards comes up";
}

TEST(Shards, GiveEveryClientItsClasses) {
  const auto config = make_config(PartitionKind::shards, 100);
  const auto partition = draw(config);
  const auto train = class_counts(partition.train, kClasses, kTrain);
  const auto test = class_counts(partition.test, kClasses, kTest);
  for (std::size_t k = 0; k < 100; ++k) {
    int held = 0;
    for (std::size_t c = k * kClasses; c < (k + 1) * kClasses; ++c) {
      EXPECT_EQ(train[c] % 300, 0) << "shards of 6000 / 20";
      EXPECT_EQ(test[c] % 50, 0) << "shards of 1000 / 20";
      EXPECT_EQ(train[c] / 300, test[c] / 50) << "the same mix in both splits";
      held += train[c] > 0 ? 1 : 0;
    }
    EXPECT_TRUE(held == 1 || held == 2) << "a class may come up twice";
  }
}

TEST(Shards, HoldThePapersNumbers) {
  auto config = make_config(PartitionKind::shards, 10);
  config.train_per_class = 20;
  config.test_per_class = 100;
  for (const std::int64_t s : {2, 4}) {
    config.classes_per_client = s;
    const auto partition = draw(config);
    expect_sound(partition.train, config, kTrain);
    expect_sound(partition.test, config, kTest);
    const auto train = class_counts(partition.train, kClasses, kTrain);
    const auto test = class_counts(partition.test, kClasses, kTest);
    for (std::size_t c = 0; c < train.size(); ++c) {
      EXPECT_TRUE(train[c] == 0 || train[c] == 20);
      EXPECT_EQ(train[c] * 5, test[c]);
    }
  }
}

TEST(Shards, RefuseUnequalNumbersPerClass) {
  expect_says(refusal(make_config(PartitionKind::shards, 7)),
              {"data.clients = 7", "14 shards", "set data.clients to 5 or 10"});
  auto config = make_config(PartitionKind::shards, 3);
  config.classes_per_client = 1;
  expect_says(refusal(config), {"3 shards", "set data.clients to 10"});
}

TEST(Shards, RefuseMoreClassesThanThereAre) {
  auto config = make_config(PartitionKind::shards, 10);
  config.classes_per_client = 11;
  expect_says(refusal(config), {"data.classes_per_client = 11", "10 or less"});
}

TEST(Shards, RefuseMoreShardsThanSamples) {
  auto config = make_config(PartitionKind::shards, 10);
  Labels train = make_labels(100);
  std::replace(train.begin(), train.end(), 3, 4);
  train[0] = 3;
  expect_says(refusal(config, train), {"class 3 has 1 train samples for 2 shards"});
  expect_says(refusal(config, kTrain, make_labels(10)), {"class 0 has 1 test samples"});
}

TEST(Shards, RefuseMorePerClassThanAShardHolds) {
  auto config = make_config(PartitionKind::shards, 100);
  config.train_per_class = 301;
  expect_says(refusal(config), {"data.train_per_class = 301", "6000 train samples", "300"});
  config.train_per_class = 300;
  config.test_per_class = 51;
  expect_says(refusal(config), {"data.test_per_class = 51", "1000 test samples", "50"});
}

// ---- dirichlet

DataConfig make_dirichlet(std::int64_t clients, double beta) {
  auto config = make_config(PartitionKind::dirichlet, clients);
  config.beta = beta;
  return config;
}

/// The share of a client's most frequent class, mean over clients.
double mean_largest_share(const Partition& partition) {
  const auto counts = class_counts(partition.train, kClasses, kTrain);
  double sum = 0;
  for (std::size_t k = 0; k < partition.clients(); ++k) {
    const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(k * kClasses);
    const auto most = *std::max_element(begin, begin + kClasses);
    sum += static_cast<double>(most) / static_cast<double>(partition.train[k].size());
  }
  return sum / static_cast<double>(partition.clients());
}

TEST(Dirichlet, LargeBetaIsNearlyUniform) {
  const auto partition = draw(make_dirichlet(10, 100));
  for (const auto count : class_counts(partition.train, kClasses, kTrain))
    EXPECT_NEAR(static_cast<double>(count), 600, 300);
  EXPECT_LT(mean_largest_share(partition), 0.15);
}

TEST(Dirichlet, SmallBetaIsSkewed) {
  EXPECT_GT(mean_largest_share(draw(make_dirichlet(10, 0.05))), 0.6);
}

TEST(Dirichlet, TestFollowsTrain) {
  for (const double beta : {0.1, 1.0, 10.0}) {
    const auto partition = draw(make_dirichlet(30, beta));
    const auto train = class_counts(partition.train, kClasses, kTrain);
    const auto test = class_counts(partition.test, kClasses, kTest);
    for (std::size_t i = 0; i < train.size(); ++i) {
      // Largest remainders miss the exact share of 1000 test for 6000 training samples by less
      // than 1.
      EXPECT_LT(std::abs(test[i] * 6000 - train[i] * 1000), 6000);
      if (train[i] == 0) {
        EXPECT_EQ(test[i], 0);
      }
    }
  }
}

TEST(Dirichlet, HonoursMinSamples) {
  auto config = make_dirichlet(20, 0.3);
  config.min_samples = 500;
  for (const auto size : sizes_of(draw(config).train)) EXPECT_GE(size, 500U);
}

TEST(Dirichlet, ClientsThatAreFullGetNoMore) {
  // A client stops at the class that takes it to n/N: it never has n/N before its last class.
  const auto partition = draw(make_dirichlet(10, 0.2));
  const auto counts = class_counts(partition.train, kClasses, kTrain);
  for (std::size_t k = 0; k < 10; ++k) {
    std::int64_t held = 0;
    for (std::size_t c = 0; c < kClasses; ++c) {
      if (held >= 6000) {
        EXPECT_EQ(counts[k * kClasses + c], 0);
      }
      held += counts[k * kClasses + c];
    }
  }
}

TEST(Dirichlet, GivesUpAfterSomeDraws) {
  auto config = make_dirichlet(100, 0.01);
  config.min_samples = 550;
  expect_says(refusal(config), {"none of 1000 draws", "550 training samples", "raise data.beta"});
}

TEST(Dirichlet, SaysWhenTestSamplesAreTooFew) {
  auto config = make_dirichlet(200, 1);
  config.min_samples = 1;
  expect_says(refusal(config, kTrain, make_labels(200)), {"none of 1000 draws", "no test sample"});
}

TEST(Dirichlet, SurvivesTheSmallestBeta) {
  auto config = make_dirichlet(5, 1e-9);
  config.min_samples = 1;
  const auto partition = draw(config);
  EXPECT_EQ(count_samples(partition.train), kTrain.size());
}

TEST(Dirichlet, LeavesOutTestSamplesOfAClassThatNobodyTrains) {
  Labels train = make_labels(1000);
  std::replace(train.begin(), train.end(), 3, 4);
  const auto partition = draw(make_dirichlet(5, 1), kSeed, train);
  EXPECT_EQ(count_samples(partition.train), 1000U);
  EXPECT_EQ(count_samples(partition.test), 9000U);
}

TEST(Dirichlet, RefusesMoreSamplesThanThereAre) {
  auto config = make_dirichlet(100, 1);
  config.min_samples = 601;
  expect_says(refusal(config), {"data.min_samples = 601", "data.clients = 100", "60000"});
}

// ---- iid, quantity

TEST(Iid, SizesDifferByOneAtMost) {
  const auto partition = draw(make_config(PartitionKind::iid, 7));
  for (const auto size : sizes_of(partition.train)) EXPECT_TRUE(size == 8571 || size == 8572);
  for (const auto size : sizes_of(partition.test)) EXPECT_TRUE(size == 1428 || size == 1429);
}

TEST(Iid, EveryClientHasAllClassesAlike) {
  const auto partition = draw(make_config(PartitionKind::iid, 10));
  for (const auto count : class_counts(partition.train, kClasses, kTrain))
    EXPECT_NEAR(static_cast<double>(count), 600, 100);  // 4 standard deviations
  for (const auto count : class_counts(partition.test, kClasses, kTest))
    EXPECT_NEAR(static_cast<double>(count), 100, 40);
}

TEST(Quantity, SizesAreSkewedAndProportionalInBothSplits) {
  auto config = make_config(PartitionKind::quantity, 50);
  config.beta = 0.3;
  config.min_samples = 25;
  const auto partition = draw(config);
  const auto train = sizes_of(partition.train);
  const auto test = sizes_of(partition.test);
  EXPECT_GE(*std::min_element(train.begin(), train.end()), 25U);
  EXPECT_GT(*std::max_element(train.begin(), train.end()), 3000U) << "2.5 times the mean";
  for (std::size_t k = 0; k < train.size(); ++k)
    EXPECT_NEAR(static_cast<double>(test[k]), static_cast<double>(train[k]) / 6, 1);
}

TEST(Quantity, EveryClientHasATestSample) {
  auto config = make_config(PartitionKind::quantity, 1000);
  config.beta = 0.05;
  config.min_samples = 1;
  const auto partition = draw(config);
  expect_sound(partition.train, config, kTrain);
  expect_sound(partition.test, config, kTest);
  EXPECT_EQ(count_samples(partition.test), kTest.size());
}

TEST(Quantity, MixesClasses) {
  auto config = make_config(PartitionKind::quantity, 10);
  config.beta = 100;
  EXPECT_LT(mean_largest_share(draw(config)), 0.13);
}

TEST(ClassCounts, AreHandWorked) {
  const Labels labels{0, 1, 1, 2};
  EXPECT_EQ(class_counts({{0, 1, 2}, {3}}, 3, labels),
            (std::vector<std::int64_t>{1, 2, 0, 0, 0, 1}));
}

}  // namespace
}  // namespace fedselect
