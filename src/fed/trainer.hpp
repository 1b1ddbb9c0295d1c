#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/class_features.hpp"
#include "fed/client_group.hpp"
#include "fed/fed_config.hpp"
#include "fed/optimizer.hpp"
#include "model/activations.hpp"

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

class Trainer;

/// One step of local training: a batch of each client's data, and what a method may do with it.
class LocalStep {
 public:
  /// Whether it is the first step of the client's round.
  bool first() const { return first_; }
  /// Runs the batch forward only: running statistics follow it, nothing else changes.
  void look();
  /// The group's gradient <- that of the mean loss over the batch `ahead` batches further on (the
  /// pass's last batch for a client whose pass is over), at the present parameters.
  void gradient(int ahead = 0);
  /// gradient() of a loss with one more term: lambda times the mean, over the batch and the
  /// features, of (feature - target)^2, where features are what the head reads and targets those of
  /// the samples' classes, as in Ops::pull_to_class. Tallies leave the term out.
  void aligned_gradient(double lambda, ops::ConstValues targets);
  /// The optimizer moves the parameters along the gradient.
  void descend();
  /// gradient(), then descend(): the usual step, which a device may replay as a whole.
  void train();
  /// Optimizer number `slot`, which has a state of its own, moves `target` along the gradient.
  void descend(ops::Values target, std::size_t slot);
  /// Plain SGD moves the parameters along the gradient at a rate of the method's own.
  void descend_plainly(double rate);
  /// gradient += lambda (parameters - anchor).
  void pull(double lambda, ops::ConstValues anchor);

 private:
  friend class Trainer;
  LocalStep(Trainer& trainer, ops::Scope scope, int batch, bool first)
      : trainer_(trainer), scope_(scope), batch_(batch), first_(first) {}

  Trainer& trainer_;
  ops::Scope scope_;
  int batch_;
  bool first_;
};

/// What a method does in each step instead of gradient() and descend().
using StepRule = std::function<void(LocalStep&)>;

/// What a trainer works with. Everything referenced must outlive it.
struct TrainerSetup {
  TrainConfig train;
  int rounds = 1;  ///< of the run, for the schedule of the learning rate
  int test_batch = 100;
  std::uint64_t seed = 0;
  double validation = 0;  ///< fraction of a client's training samples that it never trains on
};

/// Samples in the device's memory.
struct PlacedSamples {
  PlacedSamples(ops::Ops& ops, const Dataset& data, const Samples& part);

  std::shared_ptr<const void> pixels, labels;
  ops::SampleSource source;
};

/// Local training and testing of the clients of a group, on their own data.
class Trainer {
 public:
  Trainer(ops::Ops& ops, const Network& network, const TrainerSetup& setup, const Dataset& data,
          const Partition& partition, ClientGroup& clients, int capacity);

  /// Bytes of device memory that each client of a group takes at most.
  static std::size_t bytes_per_client(const Network& network, const TrainerSetup& setup,
                                      const Partition& partition);

  /// From now on these are the clients.
  void turn_to(ClientGroup& clients) { clients_ = &clients; }
  /// `work` for the host, to be done once, when the device next has a pass ahead of it.
  void while_busy(std::function<void()> work) { aside_ = std::move(work); }
  /// Does that work now if no pass has come.
  void do_aside();

  /// Begins a client step: tallies are zero, optimizers are fresh, the pass counter starts anew.
  /// Passes count as time of `phase`: evaluation where a method trains only to test.
  void begin(Phase phase);

  // The kit: verbs for methods

  /// n passes of the optimizer on the indices in scope. A pass without an index to train is
  /// skipped, but for its forward part in a network with running statistics.
  void passes(std::int64_t n, Scope scope);
  /// The same, in which a step is what `rule` does.
  void passes(std::int64_t n, Scope scope, const StepRule& rule);
  /// n passes over all indices in which a step is what `rule` does, once every `stride` batches.
  void passes(std::int64_t n, const StepRule& rule, int stride = 1);
  /// LocalAlt with E = n: personal and shared passes by turns. Source: arXiv 2306.13264,
  /// algorithm 2.
  void alternate(std::int64_t n, Alternation order);
  /// One step of plain SGD on the first batch of each client's data.
  void step_once(double rate);
  /// Optimizers forget their state.
  void refresh_optimizers();
  /// The parameters become what they were when the round began, with fresh optimizers.
  void rewind();
  /// Accuracy of the clients' present parameters on their validation parts, one entry a client.
  std::vector<double> validate();
  /// What the head reads of the clients' training samples at their present parameters, forward as
  /// in a test, one entry a client.
  std::vector<ClassFeatures> class_features();
  /// The learning rate of this round.
  double rate() const { return learning_rate(setup_.train, clients_->round(), setup_.rounds); }
  /// Steps that each client's first optimizer did since begin().
  std::span<const int> steps() const { return {steps_.data(), used()}; }

  // What the round reads

  /// Training since begin(), one entry a client.
  std::span<const Tally> training() const { return {training_.data(), used()}; }
  /// Tests the clients' present parameters on their own test samples, in large batches.
  std::span<const Tally> test() { return test(clients_->clients()); }
  /// The same on the test samples of others, `owners`: one a client.
  std::span<const Tally> test(std::span<const int> owners);

 private:
  friend class LocalStep;
  using Split = std::vector<std::span<const std::int32_t>>;  ///< samples of each client

  std::size_t used() const { return static_cast<std::size_t>(clients_->size()); }
  void plan(Scope scope);
  void run_pass(int pass, Scope scope, const StepRule& rule, int stride);
  void draw_pass(int pass);
  void draw_orders(int pass);
  void draw_placements(int pass);
  RandomStream stream_of(Purpose purpose, int client, int pass) const;
  ops::Group batch_group() const { return {std::span(batch_samples_).first(used())}; }
  void count_batch(const Split& split, std::span<const int> owners, int step, int batch);
  void gather_batch(int step, int batch, const PlacedSamples& samples,
                    ops::Grouped<const ops::Placement> placements);
  void take_training_batch(int step, int ahead);
  void learn(int step, int ahead, const FeaturePull& pull = {});
  void run_backward(const FeaturePull& pull = {});
  void count_samples();
  void train(int step, Scope scope);
  ops::ConstValues limit_gradient();
  void descend(ops::Values target, std::size_t slot, Scope scope);
  void move(ops::Values target, std::size_t slot, Scope scope);
  void count_steps();
  ops::LossSums sums() const { return {{loss_sums_.of(0), 1}, {hit_sums_.of(0), 1}}; }
  void finish_pass();
  void take_sums(std::vector<Tally>& tallies);
  template <class Look>
  void look_through(const Split& split, std::span<const int> owners, const PlacedSamples& placed,
                    const Look& look);
  std::span<const Tally> measure(const Split& split, std::span<const int> owners,
                                 const PlacedSamples& samples);

  ops::Ops& ops_;
  const Network& network_;
  TrainerSetup setup_;
  PlacedSamples train_samples_;
  PlacedSamples test_samples_;
  Split train_;       ///< what clients train on
  Split validation_;  ///< what they hold back
  Split test_;
  ClientGroup* clients_;
  std::function<void()> aside_;

  Activations activations_;
  std::vector<Optimizer> optimizers_;
  ops::DeviceArray<std::int32_t> order_;  ///< sample indices of this pass
  std::vector<std::int32_t> host_order_;
  ops::DeviceArray<ops::Placement> placements_;  ///< of this pass; empty without augmentation
  std::vector<ops::Placement> host_placements_;
  std::vector<int> batch_samples_;  ///< samples of this step, one entry a client
  std::vector<int> taken_;
  std::vector<char> trains_;            ///< clients with an index in scope
  std::vector<char> joins_;             ///< clients that the batches of this pass are for
  std::vector<char> changed_;           ///< tensors with an index in scope
  std::vector<ops::Range> ranges_;      ///< their ranges
  std::vector<char> wanted_;            ///< tensors whose gradients are needed
  ops::DeviceArray<double> loss_sums_;  ///< zero between passes, as the hits
  ops::DeviceArray<std::int32_t> hit_sums_;
  std::vector<double> losses_;
  std::vector<std::int32_t> hits_;
  ops::DeviceArray<float> scale_;  ///< of the gradients, where they are clipped
  std::vector<float> pull_;
  std::uint64_t id_;                     ///< no two trainers of a process have the same
  std::vector<std::uint64_t> key_;       ///< what the usual step depends on
  ops::DeviceArray<double> class_sums_;  ///< allocated on first use
  std::vector<int> steps_;
  std::vector<Tally> training_;
  std::vector<Tally> tested_;
  int next_pass_ = 0;
  Phase phase_ = Phase::train;
};

}  // namespace fedselect
