// How much of a device's memory clients take, and how many of them it holds side by side.

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"
#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "ops/cpu/cpu_ops.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

constexpr std::size_t kClients = 10;
constexpr std::size_t kTrain = 24, kTest = 6;  // samples of a client

/// Adds up what is allocated.
class CountingOps final : public ops::cpu::CpuOps {
 public:
  explicit CountingOps(bool takes_turns) : takes_turns_(takes_turns) {}
  ops::Ops& beside() override { return takes_turns_ ? other_ : *this; }
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    bytes_ += bytes;
    return CpuOps::allocate(bytes);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  bool takes_turns_;
  ops::cpu::CpuOps other_;
  std::size_t bytes_ = 0;
};

std::vector<Partition::Indices> shares_of(std::size_t samples) {
  std::vector<Partition::Indices> shares;
  for (std::size_t k = 0; k < kClients; ++k) {
    shares.emplace_back(samples);
    std::iota(shares.back().begin(), shares.back().end(), samples * k);
  }
  return shares;
}

/// `GetParam()`: whether two groups take turns.
class DeviceMemory : public ::testing::TestWithParam<bool> {
 protected:
  DeviceMemory() {
    partition_.train = shares_of(kTrain);
    partition_.test = shares_of(kTest);
    algorithm_->prepare(network_.layout());
    setup_.rounds = 1;
    setup_.passes = 1;
    setup_.train.batch = 8;
  }
  struct Made {
    std::size_t bytes = 0;  ///< allocated
    int group = 0;
  };
  /// Made, and through a round. `group`: 0: as many as `memory` holds.
  Made make(int group, std::size_t memory = 0) {
    CountingOps ops(GetParam());
    const auto comm = make_self_communicator();
    const auto sums = make_host_sum(*comm);
    Simulation simulation(setup_, *algorithm_, network_, data_, partition_,
                          {ops, *sums, group, memory}, *comm);
    simulation.round(0);
    return {ops.bytes(), simulation.group_size()};
  }
  std::size_t bytes_per_client() { return make(5).bytes - make(4).bytes; }

  const ops::ImageShape image_{.height = 16, .width = 16, .channels = 1};
  Dataset data_ = testing::random_dataset(kClients * kTrain, kClients* kTest, image_, 3);
  Network network_{{.name = ModelKind::mlp, .hidden = 32}, image_, 3};
  Partition partition_;
  std::unique_ptr<Algorithm> algorithm_ =
      find_method("fedselect-ltn")->make();  // uses next to all that a group has room for
  SimulationSetup setup_;
};

TEST_P(DeviceMemory, HoldsAsManyClientsAsFit) {
  const auto room = [&](double clients) {  // 0.6 of a rank's memory is for data set and clients
    const double bytes = clients * static_cast<double>(bytes_per_client());
    return static_cast<std::size_t>((static_cast<double>(data_.bytes()) + bytes) / 0.6);
  };
  EXPECT_EQ(make(0, room(4.5)).group, 4);
  EXPECT_EQ(make(0, room(1.5)).group, 1);
  EXPECT_EQ(make(0, room(0.5)).group, 1);  // in what is left for scratch
  EXPECT_EQ(make(0, room(1000)).group, kClients);
}

TEST_P(DeviceMemory, IsTakenForSamplesThatThereAre) {
  setup_.train.batch = kTrain;
  setup_.evaluate.batch = kTrain;
  const Made fitting = make(4);
  const std::size_t memory = 1 << 20;
  const int group = make(0, memory).group;
  setup_.train.batch = 100000;
  setup_.evaluate.batch = 100000;
  EXPECT_EQ(make(4).bytes, fitting.bytes);
  EXPECT_EQ(make(0, memory).group, group);
}

TEST_P(DeviceMemory, MustHoldTheDataSet) {
  try {
    make(3, data_.bytes() - 1);
    FAIL() << "the data set does not fit";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("the data set takes 78000 of the 77999 bytes"),
              std::string::npos)
        << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, DeviceMemory, ::testing::Bool());

}  // namespace
}  // namespace fedselect
