// What a federation will do, against numbers worked out by hand, and against what it then does.

#include "estimate/course.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "fed/methods.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

// Multinomial logistic regression of 4 x 4 pixels, 3 classes: 48 weights, 3 biases; a mask is 7
// bytes.
constexpr int kClients = 5;
constexpr std::int64_t kModel = 4 * 51;
constexpr std::int64_t kMask = 7;

class CourseTest : public ::testing::Test {
 protected:
  CourseTest() : data_(testing::random_dataset(150, 60, {4, 4, 1}, 3)) {
    for (int client = 0; client < kClients; ++client) {
      partition_.train.push_back(range(30 * client, 30));
      partition_.test.push_back(range(12 * client, 12));
    }
    setup_.seed = 3;
    setup_.rounds = 9;
    setup_.train.passes = 2;
    setup_.train.batch = 8;
    setup_.passes = 2;
  }

  static Partition::Indices range(int first, int count) {
    Partition::Indices indices;
    for (int i = 0; i < count; ++i) indices.push_back(first + i);
    return indices;
  }

  static std::unique_ptr<Algorithm> make(std::string_view name, const Network& network) {
    auto algorithm = find_method(name)->make();
    algorithm->prepare(network.layout());
    return algorithm;
  }

  std::vector<CourseRound> foretell(const Algorithm& algorithm, const Network& network) {
    Rehearsal rehearsal(setup_, algorithm, network, data_, copies_of(partition_, 0, 1, 1000, 1000));
    Course course(setup_, algorithm, network.layout(), partition_, rehearsal);
    std::vector<CourseRound> rounds;
    for (int t = 0; t < setup_.rounds; ++t) rounds.push_back(course.next());
    return rounds;
  }

  std::vector<CourseRound> foretell(std::string_view method) {
    return foretell(*make(method, network_), network_);
  }

  std::vector<RoundRecord> run(const Algorithm& algorithm, const Network& network) {
    const auto comm = make_self_communicator();
    const auto ops = ops::make_cpu_ops();
    const auto sums = make_host_sum(*comm);
    Simulation simulation(setup_, algorithm, network, data_, partition_,
                          {.ops = *ops, .sums = *sums}, *comm);
    std::vector<RoundRecord> rounds;
    for (int t = 0; t < setup_.rounds; ++t) rounds.push_back(simulation.round(t));
    return rounds;
  }

  Dataset data_;
  Partition partition_;
  Network network_{{.name = ModelKind::logistic}, {4, 4, 1}, 3};
  SimulationSetup setup_;
};

TEST_F(CourseTest, FedSelectGrowsInRounds3And6) {
  const auto rounds = foretell("fedselect");
  EXPECT_EQ(rounds[2].bytes_up.most, kModel);
  EXPECT_EQ(rounds[3].bytes_up.most, kModel + kMask);  // proposes a quarter of 48
  EXPECT_EQ(rounds[4].bytes_up.most, kModel - 4 * 12);
  EXPECT_EQ(rounds[4].bytes_down.least, kModel - 4 * 12);
  EXPECT_EQ(rounds[6].bytes_up.sum, kClients * (kModel - 4 * 12 + kMask));
  EXPECT_EQ(rounds[7].bytes_up.sum, kClients * (kModel - 4 * (12 + 9)));  // and a quarter of 36
  EXPECT_DOUBLE_EQ(rounds[7].personal_share, static_cast<double>(21.0F / 48) * 48 / 51);
  // Nothing is personal before: one pass of either kind is skipped.
  EXPECT_EQ(rounds[0].gradients.most, 2 * 30);
  EXPECT_EQ(rounds[4].gradients.most, 2 * 2 * 30);
}

TEST_F(CourseTest, GradLtnKeepsHalfFourTimes) {
  const auto rounds = foretell("fedselect-ltn");
  // 48, 24, 12, 6, 3 weights; 3, 2, 1, 0 biases, halves to even: another mask in every round.
  for (const CourseRound& round : rounds) {
    EXPECT_EQ(round.bytes_up.least, kModel - 4 * 3 + kMask);
    EXPECT_EQ(round.bytes_down.most, kModel - 4 * 3);
    EXPECT_EQ(round.gradients.most, (5 * 2 + 2 * 2) * 30);
  }
}

/// Two of five take part in a round. Whoever grew a mask in round 3, of a quarter of the 48
/// weights, keeps 12 values, 2 words of mask (a tensor begins a word) and the 128 padded values
/// that it grew from; others keep nothing, even if they are played after one that grew.
TEST_F(CourseTest, OnlyClientsThatGrewAMaskHaveAReference) {
  setup_.federation.participation = 0.4;
  const auto algorithm = make("fedselect", network_);
  Rehearsal rehearsal(setup_, *algorithm, network_, data_, copies_of(partition_, 0, 1, 1000, 1000));
  Course course(setup_, *algorithm, network_.layout(), partition_, rehearsal);
  std::vector<bool> grew(kClients, false);
  for (int t = 0; t < 6; ++t) {
    const CourseRound round = course.next();
    if (t == 3)
      for (const int client : round.clients) grew[static_cast<std::size_t>(client)] = true;
  }
  double bits = 0;
  for (std::size_t k = 0; k < kClients; ++k) {
    const std::size_t most = course.most_bytes()[k];
    if (grew[k]) {
      EXPECT_EQ(most, sizeof(ClientState) + sizeof(std::vector<float>) + sizeof(Mask) + 4 * 12 +
                          8 * 2 + 4 * 128);
      bits += 48 * 0.8112781244591328;  // the entropy of a quarter
    } else {
      EXPECT_LE(most, sizeof(ClientState) + sizeof(std::vector<float>)) << k;
    }
  }
  EXPECT_NEAR(course.mask_bits(), bits, 1e-9);
}

TEST_F(CourseTest, EqualsTheRunOfEveryMethod) {
  const ops::ImageShape image{8, 8, 1};
  data_ = testing::random_dataset(150, 60, image, 3);
  const Network network({.name = ModelKind::resnet8}, image, 3);  // has norm layers and statistics
  for (auto& own : partition_.train) own.resize(12);
  setup_.rounds = 8;
  setup_.federation.participation = 0.6;
  setup_.faults.dropout = 0.2;
  for (const Method& method : methods()) {
    SCOPED_TRACE(std::string(method.name));
    const auto algorithm = make(method.name, network);
    if (algorithm->validation() > 0) continue;  // clients' accuracies decide
    const auto foretold = foretell(*algorithm, network);
    const auto happened = run(*algorithm, network);
    for (std::size_t t = 0; t < happened.size(); ++t) {
      Spread up;
      Spread down;
      Spread gradients;
      std::int64_t cohort = 0;
      double flops = 0;
      for (const ClientRecord& client : happened[t].clients) {
        if (client.participated == 0) continue;
        const bool is_first = cohort++ == 0;
        up.add(client.bytes_up, is_first);
        down.add(client.bytes_down, is_first);
        gradients.add(client.gradients, is_first);
        flops += client.flops;
      }
      EXPECT_EQ(foretold[t].cohort, cohort) << t;
      EXPECT_EQ(foretold[t].bytes_up.sum, up.sum) << t;
      EXPECT_EQ(foretold[t].bytes_up.least, up.least) << t;
      EXPECT_EQ(foretold[t].bytes_up.most, up.most) << t;
      EXPECT_EQ(foretold[t].bytes_down.sum, down.sum) << t;
      EXPECT_EQ(foretold[t].gradients.sum, gradients.sum) << t;
      EXPECT_DOUBLE_EQ(foretold[t].flops, flops) << t;
    }
  }
}

TEST_F(CourseTest, PruningFollowsItsSchedule) {
  const auto rounds = foretell("lotteryfl");  // a fifth of what is kept, down to 0.3
  std::int64_t kept = 48;
  for (const CourseRound& round : rounds) {
    if (static_cast<double>(kept) > 0.3 * 48) kept = std::lround(0.8 * static_cast<double>(kept));
    EXPECT_EQ(round.bytes_down.most, 4 * (kept + 3)) << round.round;
  }
}

TEST_F(CourseTest, ValuesTakeNoTime) {
  BlankOps ops(64);
  const auto small = ops.allocate(64);
  const auto large = ops.allocate(std::size_t{1} << 40);  // a terabyte, never touched
  ops.zero(large.get(), std::size_t{1} << 40);
  EXPECT_EQ(ops.peak_bytes(), (std::size_t{1} << 40) + 64);
}

}  // namespace
}  // namespace fedselect
