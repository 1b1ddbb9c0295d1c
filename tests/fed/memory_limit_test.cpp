// However many clients take part in a round, the states of no more than a group are asked for
// before the store may send states to its file.

#include <gtest/gtest.h>

#include <algorithm>

#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "ops/cpu/cpu_ops.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

constexpr int kClients = 40;
constexpr int kGroup = 4;
constexpr std::size_t kSamples = 4;  // of a client

/// Looks at the store whenever a group comes or goes.
class WatchingOps final : public ops::cpu::CpuOps {
 public:
  void watch(const ClientStore& store) { store_ = &store; }
  std::size_t most() const { return most_; }

  void upload(void* device, const void* host, std::size_t bytes) override {
    look();
    CpuOps::upload(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    look();
    CpuOps::download(host, device, bytes);
  }

 private:
  void look() {
    if (store_ != nullptr) most_ = std::max(most_, store_->touched());
  }
  const ClientStore* store_ = nullptr;
  std::size_t most_ = 0;
};

Partition::Indices samples_of(std::size_t client) {
  Partition::Indices indices;
  for (std::size_t i = 0; i < kSamples; ++i)
    indices.push_back(static_cast<std::int32_t>(kSamples * client + i));
  return indices;
}

class MemoryLimit : public ::testing::TestWithParam<const char*> {};

TEST_P(MemoryLimit, NoMoreThanAGroupIsAskedFor) {
  const Dataset data =
      testing::random_dataset(kSamples * kClients, kSamples * kClients, {4, 4, 1}, 3);
  Partition partition;
  for (std::size_t k = 0; k < kClients; ++k) {
    partition.train.push_back(samples_of(k));
    partition.test.push_back(samples_of(k));
  }
  const Network network({.name = ModelKind::logistic}, {4, 4, 1}, 3);
  const auto algorithm = find_method(GetParam())->make();
  algorithm->prepare(network.layout());
  SimulationSetup setup;
  setup.rounds = 5;
  setup.passes = 1;
  setup.faults.dropout = 0.3;
  const auto comm = make_self_communicator();
  const auto sums = make_host_sum(*comm);
  WatchingOps ops;
  Simulation simulation(setup, *algorithm, network, data, partition,
                        {.ops = ops, .sums = *sums, .group = kGroup}, *comm);
  ops.watch(simulation.store());
  for (int t = 0; t < setup.rounds; ++t) simulation.round(t);  // masks grow in round 3
  EXPECT_GT(ops.most(), 0U);
  EXPECT_LE(ops.most(), std::size_t{kGroup});
}

INSTANTIATE_TEST_SUITE_P(Methods, MemoryLimit,
                         ::testing::Values("fedselect", "fedselect-ltn", "lotteryfl"));

}  // namespace
}  // namespace fedselect
