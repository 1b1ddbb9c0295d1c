#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/client_group.hpp"
#include "fed/fed_config.hpp"
#include "model/network.hpp"

namespace fedselect {

using ops::Scope;

/// The order of LocalAlt's passes. algorithms.md, section 2.
enum class Alternation {
  interleaved,  ///< E times: a personal pass, then a shared pass
  blocked,      ///< E personal passes, then E shared ones
};
inline constexpr std::array<std::string_view, 2> kAlternationNames{"interleaved", "blocked"};

/// What a client's training or test amounted to.
struct Tally {
  double loss = 0;           ///< sum over samples
  std::int64_t samples = 0;  ///< samples seen: in training, sample gradients computed
  std::int64_t correct = 0;

  double mean_loss() const { return loss / static_cast<double>(samples); }
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(samples); }
};

/// Local training and testing of the clients of a group, on their own data.
class Trainer {
 public:
  /// All references must outlive the trainer.
  Trainer(ops::Ops& ops, const Network& network, const TrainConfig& train, int test_batch,
          std::uint64_t seed, const Dataset& data, const Partition& partition, ClientGroup& clients,
          int capacity);

  /// Begins a client step: tallies are zero, the pass counter starts anew. Passes count as time of
  /// `phase`: evaluation where a method trains only to test.
  void begin(Phase phase);

  // The kit: verbs for methods

  /// n passes of SGD on the indices in scope. A pass that can change nothing is skipped.
  void passes(std::int64_t n, Scope scope);
  /// LocalAlt with E = n: personal and shared passes by turns. Source: arXiv 2306.13264,
  /// algorithm 2.
  void alternate(std::int64_t n, Alternation order);

  // What the round reads

  /// Training since begin(), one entry a client.
  std::span<const Tally> training() const { return {training_.data(), used()}; }
  /// Tests the clients' present parameters on their own test samples, in large batches.
  std::span<const Tally> test();

 private:
  std::size_t used() const { return static_cast<std::size_t>(clients_.size()); }
  bool plan(Scope scope);
  void draw_orders(int pass);
  void step(int step, const ops::SgdRule& rule);
  ops::Group take_batch(const std::vector<Partition::Indices>& split, int step, int batch,
                        const Samples& part);

  ops::Ops& ops_;
  const Network& network_;
  const TrainConfig& config_;
  int test_batch_;
  std::uint64_t seed_;
  const Dataset& data_;
  const Partition& partition_;
  ClientGroup& clients_;

  Activations activations_;
  ops::DeviceArray<std::int32_t> order_;  ///< sample indices of this pass
  std::vector<std::int32_t> host_order_;
  std::vector<int> batch_samples_;  ///< samples of this step, one entry a client
  std::vector<char> wanted_;        ///< tensors with an index in scope
  std::vector<ops::Range> ranges_;  ///< their ranges
  std::vector<double> losses_;
  std::vector<double> norms_;
  std::vector<std::int32_t> correct_;
  std::vector<float> scale_;
  std::vector<Tally> training_;
  std::vector<Tally> tested_;
  int next_pass_ = 0;
  Phase phase_ = Phase::train;
};

}  // namespace fedselect
