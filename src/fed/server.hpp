#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/device_sum.hpp"
#include "fed/fed_config.hpp"
#include "fed/optimizer.hpp"
#include "fed/shared_sum.hpp"

namespace fedselect {

/// The server: the global model, the vectors it keeps, and what clients add up in a round. Every
/// rank holds the same.
class Server {
 public:
  /// `vectors`: how many whole vectors the server keeps and sends beside the model, zero at first.
  /// `belongings`: what it receives from each client beside the model, and the length of its
  /// notice.
  Server(ops::Ops& ops, const ParameterLayout& layout, const ServerConfig& config,
         std::span<const float> initial, int vectors, const Belongings& belongings);

  // The round calls these

  /// What clients receive. Valid until the server is gone; its content until the next merge.
  Broadcast broadcast() const { return {model_, vectors_, {notice_.view()[0], 0}}; }
  const ParameterVector& model() const { return model_; }
  /// Empties the sums for a cohort of this total weight.
  void begin_round(std::uint64_t total_weight);
  /// Adds what the group's clients share and contribute, weights[g] times each; 0 leaves a client
  /// out.
  void add(const ClientGroup& clients, std::span<const std::uint32_t> weights);
  /// For a merge that needs each client's values: room for them (empty where sums are enough), and
  /// those of a group's clients that bring something (weight not 0), NaN where personal.
  std::vector<Messages> new_uploads() const;
  void add(const ClientGroup& clients, std::span<const std::uint32_t> weights,
           std::vector<Messages>& uploads) const;
  /// Collective: the sums become those of one client that shares the merged values. `cohort`: how
  /// many clients uploaded something, at most.
  void merge(Communicator& comm, std::span<const Messages> uploads, std::size_t cohort);
  /// Collective: the sums over all ranks.
  void all_reduce(DeviceSum& sums, Communicator& comm);
  /// What clients are told from now on.
  void post(std::span<const float> notice) { notice_.upload(ops_, 0, notice); }

  // A checkpoint calls these

  ServerState state() const;
  void restore(const ServerState& state);
  /// Moments that a state with steps of the optimizer has.
  int moments() const { return optimizer_.moments(); }
  /// The sums as they stand, the model's first; and back, after begin_round().
  std::vector<SumState> sums() const;
  void restore_sums(std::span<const SumState> sums);

  // The kit: verbs for Algorithm::merge

  /// The model follows the per-index mean as [server] says: it becomes the mean, or an optimizer
  /// takes model - mean for a gradient. Running statistics become their mean in any case.
  void take_mean();
  /// model <- model + rate (mean - model).
  void move_to_mean(double rate);
  /// Kept vector number `index` += factor * the mean of contribution number `contribution`.
  void add_mean(std::size_t index, double factor, std::size_t contribution);

 private:
  const ParameterVector& mean();
  void combine(double a, const ParameterVector& x, double b, const ParameterVector& y,
               const ParameterVector& out);

  ops::Ops& ops_;
  const ParameterLayout& layout_;
  ServerConfig config_;
  ParameterVector model_;
  std::vector<ParameterVector> vectors_;
  ops::DeviceArray<float> notice_;
  SharedSum sum_;
  std::vector<SharedSum> contributions_;
  ParameterVector mean_;  ///< allocated on first use
  ops::DeviceArray<Word> unshared_;
  Optimizer optimizer_;
};

}  // namespace fedselect
