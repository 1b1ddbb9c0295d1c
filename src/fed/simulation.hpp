#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/algorithm.hpp"
#include "fed/client_store.hpp"
#include "fed/device.hpp"
#include "fed/fed_config.hpp"
#include "fed/record.hpp"
#include "fed/server.hpp"
#include "model/network.hpp"

namespace fedselect {

/// What a simulation is made of. Everything referenced must outlive it.
struct SimulationSetup {
  std::uint64_t seed = 0;
  int rounds = 0;
  TrainConfig train;
  ServerConfig server{};
  FederationConfig federation;
  EvaluateConfig evaluate;
  std::int64_t passes = 0;              ///< P of this method
  std::span<const float> initial = {};  ///< padded; empty: drawn from the seed
};

/// One method on one federation: the global model, the shard of clients that this rank hosts, and
/// the round.
class Simulation {
 public:
  Simulation(const SimulationSetup& setup, const Algorithm& algorithm, const Network& network,
             const Dataset& data, const Partition& partition, const Device& device,
             Communicator& comm);

  /// Collective: runs round `t`, the next one, and returns what this rank measured.
  RoundRecord round(int t);

  /// The global model, in host memory, padded.
  AlignedVector<float> global_model() const;
  /// The final mask of a client that this rank hosts; null: nothing is personal.
  MaskPtr mask(int client) const { return store_.state(client).mask; }
  /// The model that a client that this rank hosts would deploy after the last round, padded: its
  /// own values where personal, the global model elsewhere, and what Algorithm::before_test makes
  /// of it.
  AlignedVector<float> client_model(int client);
  /// Row of a client that this rank hosts, after the last round with evaluate.cross: accuracy of
  /// its client_model() on the test samples of every client.
  const std::vector<float>& cross_accuracy(int client) const { return cross_.at(client); }
  /// The new clients that this rank hosts, after the last round.
  const std::vector<NewClientRecord>& new_clients() const { return new_clients_; }
  /// Rank that hosts each client.
  const std::vector<int>& rank_of_client() const { return rank_of_; }
  PhaseClock& clock() { return clock_; }
  /// Clients that are trained side by side, at most.
  int group_size() const { return group_size_; }

 private:
  template <class Action>
  void for_each_group(std::span<const int> clients, const Action& action) const;
  std::vector<int> mine(const std::vector<int>& clients) const;
  std::uint32_t weight(int client) const;
  std::uint64_t total_weight(const std::vector<int>& cohort) const;
  bool evaluates_in(int t) const;

  // The verbs of the round; those without a client list act on the loaded group.
  std::vector<ClientRecord> new_records() const;
  std::vector<MaskPtr> masks() const;
  void test_before(std::vector<ClientRecord>& records, int t);
  void train(int t);
  void load_deployed(std::span<const int> clients, int t);
  void test_after(std::vector<ClientRecord>& records);
  void account(std::vector<ClientRecord>& records) const;
  void aggregate();
  void collect(Messages& messages);
  void answer(const Messages& mine);
  void adopt_masks(const std::vector<int>& clients, int t);
  void count_mask_changes(std::vector<ClientRecord>& records,
                          std::span<const MaskPtr> before) const;
  void test_everyone(RoundRecord& record);
  void test_finally();
  std::vector<float> test_on_everyone(int client);
  void test_new_clients(std::span<const int> clients);
  void measure(RoundRecord& record);

  SimulationSetup setup_;
  const Algorithm& algorithm_;
  const ParameterLayout& layout_;
  double training_flops_;  ///< of a sample
  const Partition& partition_;
  ops::Ops& ops_;
  DeviceSum& sums_;
  Communicator& comm_;

  PhaseClock clock_;
  std::vector<int> rank_of_;
  std::vector<int> shard_;          ///< clients that this rank hosts, ascending
  std::span<const int> trained_;    ///< those of them that take part
  std::span<const int> untrained_;  ///< and the new ones
  ClientStore store_;
  Server server_;
  int group_size_;
  ClientGroup group_;
  Trainer trainer_;
  /// Accuracy after the last broadcast, per client of the federation, and the round at whose end it
  /// was measured.
  std::vector<double> broadcast_accuracy_;
  int broadcast_round_ = -1;
  std::map<int, std::vector<float>> cross_;  ///< rows by client
  std::vector<NewClientRecord> new_clients_;
};

}  // namespace fedselect
