// One round of a model with 6 parameters, worked out in the test with double-precision formulas of
// its own: three weights and three biases, one input, three classes (multinomial logistic
// regression).

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

constexpr double kRate = 0.5;  // learning rate
constexpr int kClasses = 3;
constexpr std::size_t kParameters = 6;
using Vector = std::array<double, kParameters>;  // w0 w1 w2 b0 b1 b2
using Flags = std::array<bool, kParameters>;

/// Keys of a method as a test sets them: numbers by name, everything else keeps its default.
class SetKeys final : public Fields {
 public:
  explicit SetKeys(std::vector<std::pair<std::string_view, double>> values)
      : values_(std::move(values)) {}
  void integer(std::string_view key, std::int64_t& value, const Interval& /*range*/,
               std::string_view /*meaning*/) override {
    set(key, value);
  }
  void real(std::string_view key, double& value, const Interval& /*range*/,
            std::string_view /*meaning*/) override {
    set(key, value);
  }
  void flag(std::string_view key, bool& value, std::string_view /*meaning*/) override {
    set(key, value);
  }
  void text(std::string_view /*key*/, std::string& /*value*/,
            std::string_view /*meaning*/) override {}
  void texts(std::string_view /*key*/, std::vector<std::string>& /*values*/,
             std::string_view /*meaning*/) override {}
  void choice_index(std::string_view key, std::size_t& index,
                    std::span<const std::string_view> /*names*/,
                    std::string_view /*meaning*/) override {
    set(key, index);
  }
  void applies(bool /*holds*/, std::string_view /*key*/, std::string_view /*message*/) override {}
  void check(bool /*holds*/, std::string_view /*key*/, std::string_view /*message*/) override {}

 private:
  template <class T>
  void set(std::string_view key, T& value) const {
    for (const auto& [name, given] : values_)
      if (name == key) value = static_cast<T>(given);
  }
  std::vector<std::pair<std::string_view, double>> values_;
};

/// A client with one training sample: input x, class y.
struct Sample {
  double x;
  int y;
};

/// theta after one step of SGD at the flagged indices. Gradient of the cross-entropy: (p_c - [c =
/// y]) x, and (p_c - [c = y]).
Vector step(const Vector& theta, const Sample& sample, const Flags& trained) {
  std::array<double, kClasses> odds{};
  double sum = 0;
  for (std::size_t c = 0; c < kClasses; ++c) {
    odds[c] = std::exp(theta[c] * sample.x + theta[c + 3]);
    sum += odds[c];
  }
  Vector next = theta;
  for (std::size_t c = 0; c < kClasses; ++c) {
    const double error = odds[c] / sum - (static_cast<int>(c) == sample.y ? 1 : 0);
    if (trained[c]) next[c] -= kRate * error * sample.x;
    if (trained[c + 3]) next[c + 3] -= kRate * error;
  }
  return next;
}

Flags inverse(Flags flags) {
  for (bool& flag : flags) flag = !flag;
  return flags;
}

/// The n indices in [first, first + 3) with the largest |a - b|.
void flag_largest(const Vector& a, const Vector& b, std::size_t first, int n, Flags& flags) {
  std::array<std::size_t, 3> order{first, first + 1, first + 2};
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return std::abs(a[i] - b[i]) > std::abs(a[j] - b[j]);
  });
  for (int i = 0; i < n; ++i) flags[order[static_cast<std::size_t>(i)]] = true;
}

class RoundByHand : public ::testing::Test {
 protected:
  RoundByHand() : network_({ModelKind::logistic, 0}, {1, 1, 1}, kClasses) {
    // Two clients; client 1 owns two copies of its sample, so it weighs twice in a mean by samples.
    // Pixel / 255, no shift.
    data_ = {"hand",
             {1, 1, 1},
             kClasses,
             {0.0F},
             {1.0F},
             testing::make_samples({255, 51, 51}, {0, 2, 2}),
             testing::make_samples({255, 51}, {0, 2}),
             GroupKind::none,
             {}};
    partition_.train = {{0}, {1, 2}};
    partition_.test = {{0}, {1}};
    const auto padded = network_.initial_parameters(kSeed);
    for (std::size_t c = 0; c < 3; ++c) {
      initial_[c] = padded[network_.layout().ranges()[0].begin + c];
      initial_[c + 3] = padded[network_.layout().ranges()[1].begin + c];
    }
  }

  /// Runs `rounds` rounds with P = `passes` and full batches.
  std::unique_ptr<Simulation> run(std::unique_ptr<Algorithm> algorithm, int rounds,
                                  std::int64_t passes,
                                  std::vector<std::pair<std::string_view, double>> keys = {}) {
    SetKeys setter(std::move(keys));
    algorithm->describe(setter);
    SetKeys again({});  // a second visit must change nothing
    algorithm->describe(again);
    algorithm->prepare(network_.layout());
    algorithm_ = std::move(algorithm);
    SimulationSetup setup;
    setup.seed = kSeed;
    setup.rounds = rounds;
    setup.train.lr = kRate;
    setup.passes = passes;
    auto simulation = std::make_unique<Simulation>(setup, *algorithm_, network_, data_, partition_,
                                                   Device{*ops_, *sums_}, *comm_);
    for (int t = 0; t < rounds; ++t) last_ = simulation->round(t);
    return simulation;
  }

  void expect_global(const Simulation& simulation, const Vector& expected) const {
    const auto model = simulation.global_model();
    for (std::size_t j = 0; j < kParameters; ++j)
      EXPECT_NEAR(model[network_.layout().ranges()[j / 3].begin + j % 3], expected[j], 1e-6)
          << "parameter " << j;
  }

  void expect_mask(Simulation& simulation, int client, const Flags& expected) const {
    const MaskPtr mask = simulation.mask(client);
    for (std::size_t j = 0; j < kParameters; ++j) {
      const auto bit = network_.layout().ranges()[j / 3].begin + j % 3;
      EXPECT_EQ(mask != nullptr && test_bit(mask->words().data(), bit), expected[j])
          << "client " << client << ", parameter " << j;
    }
  }

  static constexpr std::uint64_t kSeed = 4;
  static constexpr Flags kAll{true, true, true, true, true, true};
  const std::array<Sample, 2> samples_{Sample{1.0, 0}, Sample{0.2, 2}};

  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  std::unique_ptr<Communicator> comm_ = make_self_communicator();
  std::unique_ptr<DeviceSum> sums_ = make_host_sum(*comm_);
  Network network_;
  Dataset data_;
  Partition partition_;
  std::unique_ptr<Algorithm> algorithm_;
  Vector initial_{};
  RoundRecord last_;
};

TEST_F(RoundByHand, FedAvgIsTheMeanWeightedBySamples) {
  const auto simulation = run(make_fedavg(), 1, 2);
  Vector expected{};
  const std::array<double, 2> share{1.0 / 3, 2.0 / 3};
  for (std::size_t k = 0; k < 2; ++k) {
    const Vector once = step(initial_, samples_[k], kAll);
    const Vector twice = step(once, samples_[k], kAll);
    for (std::size_t j = 0; j < kParameters; ++j) expected[j] += share[k] * twice[j];
  }
  expect_global(*simulation, expected);
  expect_mask(*simulation, 0, Flags{});
  EXPECT_EQ(last_.clients[1].gradients, 4);  // 2 passes over 2 samples
  EXPECT_EQ(last_.clients[1].bytes_up, 24);
  EXPECT_EQ(last_.clients[1].bytes_down, 24);
}

TEST_F(RoundByHand, FedSelectLtnSearchesMaskThenAlternates) {
  // p = 0.5 of 3 indices a tensor: round-half-even(1.5) = 2 stay.
  const auto simulation = run(make_fedselect_ltn(), 1, 1, {{"rate", 0.5}, {"iterations", 2}});
  std::array<Vector, 2> trained{};
  std::array<Flags, 2> personal{};
  for (std::size_t k = 0; k < 2; ++k) {
    const Vector first = step(initial_, samples_[k], kAll);  // GradLTN's first iteration
    flag_largest(first, initial_, 0, 2, personal[k]);
    flag_largest(first, initial_, 3, 2, personal[k]);
    // Its second iteration trains the survivors and is undone by the rewind; LocalAlt follows.
    const Vector after_personal = step(initial_, samples_[k], personal[k]);
    trained[k] = step(after_personal, samples_[k], inverse(personal[k]));
    expect_mask(*simulation, static_cast<int>(k), personal[k]);
  }
  Vector expected = initial_;  // an index that nobody shares keeps its value
  for (std::size_t j = 0; j < kParameters; ++j) {
    double sum = 0;
    int sharers = 0;
    for (std::size_t k = 0; k < 2; ++k)
      if (!personal[k][j]) sum += trained[k][j], ++sharers;
    if (sharers > 0) expected[j] = sum / sharers;
  }
  expect_global(*simulation, expected);
  // 4 passes: 2 iterations, a personal and a shared one. 2 of 6 values are shared, and a new mask
  // of 6 bits is sent.
  EXPECT_EQ(last_.clients[1].gradients, 8);
  EXPECT_EQ(last_.clients[1].bytes_up, 2 * 4 + 1);
  EXPECT_EQ(last_.clients[1].bytes_down, 2 * 4);
}

TEST_F(RoundByHand, FedSelectGrowsMaskAndStartsNewPersonalValuesFromTheMean) {
  // Growth in rounds 0, 1, ...; p = 0.5 of 3 eligible weights: 2. Biases are never eligible by
  // default.
  const auto simulation =
      run(make_fedselect(), 2, 1, {{"rate", 0.5}, {"growth_every", 1}, {"growth_first", 0}});
  std::array<Flags, 2> mask{};
  Vector global{};
  for (std::size_t k = 0; k < 2;
       ++k) {  // round 0: all shared, so LocalAlt's personal half is empty
    const Vector trained = step(initial_, samples_[k], kAll);
    flag_largest(trained, initial_, 0, 2, mask[k]);
    for (std::size_t j = 0; j < kParameters; ++j) global[j] += trained[j] / 2;
  }
  // Round 1 begins with the mean everywhere, also at the newly personal indices.
  std::array<Vector, 2> trained{};
  for (std::size_t k = 0; k < 2; ++k)
    trained[k] = step(step(global, samples_[k], mask[k]), samples_[k], inverse(mask[k]));
  Vector expected = global;
  for (std::size_t j = 0; j < kParameters; ++j) {
    double sum = 0;
    int sharers = 0;
    for (std::size_t k = 0; k < 2; ++k)
      if (!mask[k][j]) sum += trained[k][j], ++sharers;
    if (sharers > 0) expected[j] = sum / sharers;
  }
  expect_global(*simulation, expected);
  // Second growth: 1 free weight, round-half-even(0.5) = 0 more.
  for (int k = 0; k < 2; ++k) expect_mask(*simulation, k, mask[static_cast<std::size_t>(k)]);
}

TEST_F(RoundByHand, LocalSendsNothing) {
  const auto simulation = run(make_local(), 2, 1);
  expect_global(*simulation, initial_);
  expect_mask(*simulation, 0, kAll);
  EXPECT_EQ(last_.clients[0].bytes_up + last_.clients[0].bytes_down, 0);
}

TEST_F(RoundByHand, FineTuningLeavesTheFederationAlone) {
  const auto plain = run(make_fedavg(), 3, 1);
  const auto expected = plain->global_model();
  const auto tuned = run(make_fedavg_ft(), 3, 1, {{"fine_tune_passes", 40}});
  EXPECT_EQ(tuned->global_model(), expected);
  EXPECT_EQ(last_.clients[0].accuracy, 1);  // after 40 passes on its own class
  const auto trained = run(make_fedavg(), 3, 1);
  const auto gradients = last_.clients[0].gradients;
  run(make_fedavg_ft(), 3, 1, {{"fine_tune_passes", 40}});
  EXPECT_EQ(last_.clients[0].gradients, gradients);  // of training alone
}

TEST_F(RoundByHand, DivergedClientIsLeftOut) {
  // Inputs of 1e38 make every prediction certain. One client's is wrong, so its weights overflow in
  // the second step; the other's is right, its gradient is 0, and the global model is its model:
  // the initial one.
  data_.deviation = {1e-38F};
  const auto simulation = run(make_fedavg(), 1, 3);
  EXPECT_EQ(last_.clients[0].diverged + last_.clients[1].diverged, 1);
  expect_global(*simulation, initial_);
}

TEST_F(RoundByHand, DivergenceBeforeASelectionIsNoError) {
  data_.deviation = {1e-38F};
  run(make_fedselect_ltn(), 1, 3);
  EXPECT_EQ(last_.clients[0].diverged + last_.clients[1].diverged, 1);
  run(make_fedselect(), 2, 3, {{"growth_every", 1}, {"growth_first", 0}});
  EXPECT_GE(last_.clients[0].diverged + last_.clients[1].diverged, 1);
}

}  // namespace
}  // namespace fedselect
