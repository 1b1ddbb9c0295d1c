// Groups of clients that take turns on a GPU, one coming and going while the other trains, against
// one group of all: the same bits.

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>

#include "cuda/two_devices.hpp"
#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

using ops::DeviceArray;

constexpr std::size_t kClients = 7;
constexpr int kRounds = 2;

class Turns : public ops::test::OnGpu {
 protected:
  void SetUp() override {
    OnGpu::SetUp();
    if (IsSkipped()) return;
    for (std::size_t k = 0, next = 0; k < kClients; ++k) {
      partition_.train.emplace_back(3 + k);
      std::iota(partition_.train.back().begin(), partition_.train.back().end(), next);
      next += 3 + k;
      partition_.test.push_back({2 * static_cast<int>(k), 2 * static_cast<int>(k) + 1});
    }
  }

  struct Finished {
    std::vector<std::byte> state;    ///< global model and clients' states
    std::vector<double> accuracy;    ///< of all records
    std::vector<std::int64_t> sent;  ///< bytes up of all records
  };

  /// All rounds of a method, so many clients side by side.
  Finished run(const std::string& method, int side_by_side, const FaultsConfig& faults = {},
               double clip_norm = 0) {
    const auto algorithm = make(method);
    const auto simulation = simulate(*algorithm, side_by_side, faults, clip_norm);
    Finished finished;
    for (int t = 0; t < kRounds; ++t)
      for (const ClientRecord& record : simulation->round(t).clients) {
        finished.accuracy.push_back(record.accuracy);
        finished.sent.push_back(record.bytes_up);
      }
    add(finished.state, simulation->global_model());
    for (const int client : simulation->shard()) {
      const ClientState& state = simulation->store().state(client);
      if (state.mask) add(finished.state, state.mask->words());
      add(finished.state, state.personal);
      for (const auto& vector : state.vectors) add(finished.state, vector);
    }
    return finished;
  }

  std::unique_ptr<Algorithm> make(const std::string& method) {
    auto algorithm = find_method(method)->make();
    algorithm->prepare(network_.layout());
    return algorithm;
  }

  std::unique_ptr<Simulation> simulate(const Algorithm& algorithm, int side_by_side,
                                       const FaultsConfig& faults = {}, double clip_norm = 0) {
    SimulationSetup setup{.seed = 3,
                          .rounds = kRounds,
                          .train = {},
                          .server = {},
                          .federation = {},
                          .faults = faults,
                          .evaluate = {.every = 1},
                          .passes = 2};
    setup.train.batch = 4;
    setup.server.clip_norm = clip_norm;
    return std::make_unique<Simulation>(setup, algorithm, network_, data_, partition_,
                                        Device{gpu(), *sums_, side_by_side}, *comm_);
  }

  template <class Values>
  static void add(std::vector<std::byte>& bytes, const Values& values) {
    const auto part = std::as_bytes(std::span(values));
    bytes.insert(bytes.end(), part.begin(), part.end());
  }

  const ops::ImageShape image_{.height = 6, .width = 6, .channels = 1};
  Dataset data_ = testing::random_dataset(64, 20, image_, 3);
  Partition partition_;
  Network network_{{.name = ModelKind::mlp, .hidden = 4}, image_, 3};
  std::unique_ptr<Communicator> comm_ = make_self_communicator();
  std::unique_ptr<DeviceSum> sums_;
};

TEST_F(Turns, WhatGoesOnBesideWaitsForWhatItComesAfter) {
  constexpr std::size_t kSize = 3 << 20;  // several pieces of a copy
  const std::vector<float> ones(kSize, 1), one{1};
  std::vector<float> seen(kSize);
  const std::vector<int> client{1};
  DeviceArray<float> x(gpu(), 1, kSize);
  ops::Ops& beside = gpu().beside();
  ASSERT_NE(&beside, &gpu());
  x.upload(gpu(), 0, std::span<const float>(ones));
  for (float expected = 2; expected < 10; expected *= 4) {
    gpu().combine({client}, kSize, one, x.view(), one, x.view(), x.view());
    beside.after(gpu());
    x.download(beside, 0, std::span(seen));
    EXPECT_EQ(std::count(seen.begin(), seen.end(), expected), std::ptrdiff_t{kSize});
    beside.combine({client}, kSize, one, x.view(), one, x.view(), x.view());
    gpu().after(beside);
  }
}

TEST_F(Turns, GiveTheBitsOfOneGroup) {
  sums_ = cuda::make_mpi_sum(gpu(), *comm_);
  for (const char* method : {"fedselect", "fedselect-ltn", "ditto", "fedrep", "lotteryfl"}) {
    const Finished together = run(method, static_cast<int>(kClients));
    for (const int side_by_side : {1, 3}) {
      SCOPED_TRACE(::testing::Message() << method << ", groups of " << side_by_side);
      const Finished in_turns = run(method, side_by_side);
      EXPECT_EQ(in_turns.state, together.state);
      EXPECT_EQ(in_turns.accuracy, together.accuracy);
      EXPECT_EQ(in_turns.sent, together.sent);
    }
  }
}

/// What is sent differs from what is kept.
TEST_F(Turns, KeepWhatAttackersAndClippingChangeOnTheWay) {
  sums_ = cuda::make_mpi_sum(gpu(), *comm_);
  FaultsConfig faults;
  faults.byzantine = 0.5;
  const Finished together = run("fedrep", static_cast<int>(kClients), faults, 0.05);
  EXPECT_NE(together.state, run("fedrep", static_cast<int>(kClients)).state);
  EXPECT_EQ(run("fedrep", 2, faults, 0.05).state, together.state);
}

TEST_F(Turns, AStopLetsTheGroupThatTrainsComeHome) {
  sums_ = cuda::make_mpi_sum(gpu(), *comm_);
  const auto algorithm = make("local");
  const auto simulation = simulate(*algorithm, 2);
  int asked = 0;
  EXPECT_FALSE(simulation->train_cohort(0, [&] { return asked++ == 2; }));
  const auto& records = simulation->open_round()->records;
  ASSERT_EQ(records.size(), 4U);
  for (const int client : simulation->shard())
    EXPECT_EQ(simulation->store().state(client).personal.empty(),
              std::none_of(records.begin(), records.end(),
                           [&](const ClientRecord& record) { return record.client == client; }));
  EXPECT_TRUE(simulation->train_cohort(0, Simulation::never));
  EXPECT_EQ(simulation->complete_round(0, Simulation::never)->clients.size(), kClients);
}

}  // namespace
}  // namespace fedselect
