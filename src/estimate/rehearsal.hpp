#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "comm/device_sum.hpp"
#include "estimate/blank_ops.hpp"
#include "fed/simulation.hpp"

namespace fedselect {

/// What a client does in one round.
struct Turn {
  ClientRecord record;         ///< as result.h5 would have it, but for losses and accuracies
  double personal_share = 0;   ///< of all parameters, likewise
  Work trained;                ///< in the phase "train"
  Work tested;                 ///< in the phase "evaluate", while the cohort trains
  Work tested_later;           ///< after the broadcast, as clients are that did not take part
  std::size_t most_bytes = 0;  ///< of its state (ClientState::bytes) in the round

  /// Whether it searched its mask and found another one.
  bool searches() const { return record.mask_changes > 0; }
};

/// `copies` clients that all hold what one client of a federation holds: of its training and test
/// samples the first ones, no more than so many.
Partition copies_of(const Partition& partition, std::size_t client, std::size_t copies,
                    std::size_t most_train, std::size_t most_test);

/// A setup in which all clients take part in every round, and of all everything arrives.
SimulationSetup everyone_present(SimulationSetup setup);

/// The rounds of one client, played on BlankOps: the simulation itself, without its arithmetic.
///
/// A client's turn depends on its state alone, so turns in any order of rounds may be asked for, of
/// any number of clients by turns. `data`, `network` and `algorithm` must outlive it.
class Rehearsal {
 public:
  /// `setup`: of the run, of which everyone_present() and a plain mean are made. `partition`:
  /// of clients that all hold the same (copies_of); they play side by side on the device.
  Rehearsal(SimulationSetup setup, const Algorithm& algorithm, const Network& network,
            const Dataset& data, Partition partition);

  /// Plays a client with this state, which becomes what it is after the round.
  Turn play(int round, ClientState& state);
  /// A new client's turns in the first `rounds` rounds, if it takes part in all.
  std::vector<Turn> lifetime(int rounds);

  /// Device memory that was asked for so far, at its highest.
  std::size_t device_bytes() const { return ops_.peak_bytes(); }
  /// Whether masks may grow by less than was rehearsed: parameters that never change are not taken.
  bool may_take_fewer() const { return ops_.may_take_fewer(); }
  std::size_t train_samples() const { return partition_.train.front().size(); }
  std::size_t test_samples() const { return partition_.test.front().size(); }

 private:
  Partition partition_;
  std::unique_ptr<Communicator> comm_ = make_self_communicator();
  BlankOps ops_;
  std::unique_ptr<DeviceSum> sums_;
  Simulation simulation_;
  int round_ = -1;         ///< of the last play
  int tested_round_ = -1;  ///< of which clients knew their accuracy when it began
};

}  // namespace fedselect
