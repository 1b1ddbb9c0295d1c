#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/algorithm.hpp"
#include "fed/client_faults.hpp"
#include "fed/client_store.hpp"
#include "fed/device.hpp"
#include "fed/fed_config.hpp"
#include "fed/lending.hpp"
#include "fed/pace.hpp"
#include "fed/record.hpp"
#include "fed/run_state.hpp"
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
  FaultsConfig faults{};
  Absences absences{};  ///< what faults.unavailable names
  EvaluateConfig evaluate;
  std::int64_t passes = 0;              ///< P of this method
  std::span<const float> initial = {};  ///< padded; empty: drawn from the seed
  StoreLimits store = {};               ///< of the clients' states on this rank
  /// A rank whose training, or tests, fail waits until the others are done with theirs, and all
  /// throw its error (AgreedFailure); else it throws alone, at once.
  bool fails_together = false;
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

  // A round in two parts, for runs that may be stopped on the way.

  /// Asked between groups of clients: whether this rank should turn to no more of them.
  using StopRequest = std::function<bool()>;
  static bool never() { return false; }
  /// Collective: trains the clients of round t's cohort that have not trained yet. False: a rank
  /// was asked to stop before its last group: the round stays open, good for a checkpoint, and the
  /// same call goes on with it.
  bool train_cohort(int t, const StopRequest& stop);
  /// Collective: aggregates and tests, after train_cohort(). None: a rank was asked to stop in the
  /// test of all clients: the round stays open, good for a checkpoint, and goes on with both calls.
  std::optional<RoundRecord> complete_round(int t, const StopRequest& stop);
  /// Collective: after the last round, evaluate.cross and the new clients. False: a rank was asked
  /// to stop; what was measured is incomplete.
  bool conclude(const StopRequest& stop);

  // What a checkpoint keeps (fed/run_state.hpp)

  const ParameterLayout& layout() const { return layout_; }
  Belongings belongings() const { return algorithm_.belongings(); }
  std::size_t clients() const { return partition_.clients(); }
  /// Clients that this rank hosts, ascending.
  std::span<const int> shard() const { return shard_; }
  ClientStore& store() { return store_; }
  Server& server() { return server_; }
  /// The round of which tested_accuracy() tells, at its end; -1: none.
  int tested_round() const { return broadcast_round_; }
  /// Of a client that this rank hosts; NaN: not tested.
  double tested_accuracy(int client) const {
    return broadcast_accuracy_[static_cast<std::size_t>(client)];
  }
  /// There is no open round any more.
  void abandon_round();
  void restore_tested(int round, std::span<const double> accuracy_of_shard);
  /// The round that is open; none between rounds.
  const std::optional<OpenRound>& open_round() const { return open_; }
  /// Collective: the sums of the open round over all ranks, on every rank. The root keeps them; the
  /// other ranks' own begin anew, so that the round can go on.
  std::vector<SumState> total_sums();
  /// Opens round t where it stopped. `mine`: what the clients that this rank hosts brought.
  void restore_open_round(int t, OpenRound mine);
  /// The sums of the open round over all ranks: they become the root's.
  void restore_sums(std::span<const SumState> sums);

  /// The global model, in host memory, padded.
  AlignedVector<float> global_model() const;
  /// The final mask of a client that this rank hosts; null: nothing is personal.
  MaskPtr mask(int client);
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
  /// How many clients a device trains side by side, in how many groups.
  struct GroupPlan {
    int size = 1;
    int count = 1;
  };
  /// Of so many clients as many as were asked for, or as fit the device. If there are more and it
  /// can copy while it trains, two groups take turns. Throws InputError if not even the data set
  /// fits.
  static GroupPlan plan_groups(const Device& device, std::size_t clients,
                               const SimulationSetup& setup, const Algorithm& algorithm,
                               const Network& network, const Dataset& data,
                               const Partition& partition);
  /// Clients that are trained side by side, at most.
  int group_size() const { return plan_.size; }

 private:
  /// A group's way from the store and back.
  struct Trip {
    ClientGroup* group = nullptr;
    std::vector<ClientRecord> records{};
    std::vector<MaskPtr> masks_before{};
    std::vector<Tally> training{};
    bool is_saved = false;
  };
  /// A list in pieces that fit the device.
  std::vector<std::span<const int>> cut_into_groups(std::span<const int> clients) const;
  std::vector<int> mine(const std::vector<int>& clients) const;
  std::uint32_t weight(int client) const;
  std::uint64_t total_weight(const std::vector<int>& cohort) const;
  bool evaluates_in(int t) const;

  // The verbs of the round; those without a client list or a trip act on the group at hand.
  bool train_groups(std::span<const int> clients, int t, const StopRequest& stop);
  bool test_cross_and_new(const StopRequest& stop);
  std::exception_ptr attempt(const std::function<void()>& action) const;
  bool end_together(bool stopped, const std::exception_ptr& failure);
  Trip set_out(ClientGroup& group, std::span<const int> clients, int t);
  void train_trip(Trip& trip, int t);
  void come_home(Trip trip);
  std::vector<ClientRecord> new_records(std::span<const int> clients) const;
  std::vector<MaskPtr> masks(std::span<const int> clients) const;
  void test_before(std::vector<ClientRecord>& records, int t);
  void train(int t);
  void load_deployed(std::span<const int> clients, int t);
  void test_after(std::vector<ClientRecord>& records);
  void account(Trip& trip) const;
  void begin_round(int t);
  void begin_sums();
  ClientRecord dropped_record(int client) const;
  void attack(int t);
  void add_group(int t);
  void merge_round(int t);
  void aggregate();
  void collect(Messages& messages);
  void answer(const Messages& mine);
  void adopt_masks(std::span<const ClientRecord> records, int t);
  void count_mask_changes(std::vector<ClientRecord>& records,
                          std::span<const MaskPtr> before) const;
  std::optional<std::vector<ClientRecord>> test_everyone(int t, const StopRequest& stop);
  std::vector<ClientRecord> test_shard(int t, const StopRequest& stop);
  std::vector<int> left_to_train() const;
  void measure_pace(std::span<const int> trained, double seconds);
  std::vector<int> lend(std::vector<int> hosted, bool is_fresh);
  void bring_home();
  std::vector<std::byte> give(int client);
  void take(const Parcel& parcel);
  std::vector<float> test_on_everyone(int client);
  void test_new_clients(std::span<const int> clients);
  void measure(RoundRecord& record);
  void trim_store();

  SimulationSetup setup_;
  const Algorithm& algorithm_;
  const ParameterLayout& layout_;
  double training_flops_;  ///< of a sample
  const Partition& partition_;
  ops::Ops& ops_;
  ops::Ops& beside_;  ///< for what comes and goes while ops_ trains
  DeviceSum& sums_;
  Communicator& comm_;

  PhaseClock clock_;
  PaceMeter pace_;
  std::vector<double> work_;        ///< that a round of each client is: its training samples
  std::vector<int> rank_of_;        ///< that hosts it
  std::vector<int> shard_;          ///< clients that this rank hosts, ascending
  std::span<const int> trained_;    ///< those of them that take part
  std::span<const int> untrained_;  ///< and the new ones
  ClientFaults faults_;
  ClientStore store_;
  Server server_;
  GroupPlan plan_;
  std::vector<std::unique_ptr<ClientGroup>> groups_;
  ClientGroup* group_;  ///< the one at hand
  Trainer trainer_;
  /// Accuracy after the last broadcast, per client of the federation, and the round at whose end it
  /// was measured.
  std::vector<double> broadcast_accuracy_;
  int broadcast_round_ = -1;
  std::vector<Loan> loans_;     ///< of this round, while its clients train
  std::vector<int> reporting_;  ///< clients of the open round's cohort of which something arrives
  std::optional<OpenRound> open_;
  std::exception_ptr failure_;               ///< that waits for the other ranks
  std::map<int, std::vector<float>> cross_;  ///< rows by client
  std::vector<NewClientRecord> new_clients_;
};

}  // namespace fedselect
