#pragma once

#include <cstddef>
#include <vector>

#include "comm/communicator.hpp"
#include "estimate/rehearsal.hpp"
#include "io/run_writer.hpp"
#include "model/network.hpp"

namespace fedselect {

/// Nominal floating-point operations of work.
double flops_of(const Work& work, const Network& network);

/// A kind of turn, and what one client's cost on this machine.
struct TurnCost {
  double flops_per_sample = 0;  ///< of training, by the client's training samples
  bool searches = false;        ///< its mask
  double training = 0;          ///< seconds a flop
  double own = 0;               ///< seconds a client beside training and testing
};

/// What a method costs on this machine, by a few rounds of it. Seconds are means over the rounds of
/// a kind of turn; where turns of all kinds cost the same, the median of these.
struct MethodCost {
  std::vector<TurnCost> turns;
  double testing = 0;              ///< seconds a flop
  double merging = 0;              ///< seconds a round: sums, merge
  double talking = 0;              ///< seconds a round: of all ranks with each other
  double writing = 0;              ///< seconds a round, of the root
  double finishing = 0;            ///< seconds that result.h5 took
  std::size_t result_bytes = 0;    ///< that it then had
  std::size_t resident_bytes = 0;  ///< of a rank at its highest in a round, states among it
  std::size_t state_bytes = 0;     ///< these
};

/// The rounds of `turns` that are the first of their kind: no later turn differs from all of them
/// in its work by more than 1 %, or in whether it searches. At most `most`, the first ones.
std::vector<int> first_of_kinds(const std::vector<Turn>& turns, std::size_t most);

/// Of the costs, that of the turn which is most like this one.
const TurnCost& cost_of(const Turn& turn, double flops_per_sample,
                        const std::vector<TurnCost>& costs);

/// Collective: runs these rounds, each `least` times and on until it took `seconds`, with
/// everything that a round of `fedselect run` does, and what follows the last. `simulation`, which
/// is new: of clients that hold the same, as many on each rank; `turns`: theirs, by round. Returns
/// the same on all ranks, but for the memory, which is the largest of any.
MethodCost calibrate(Simulation& simulation, RunWriter& writer, const std::vector<int>& rounds,
                     const std::vector<Turn>& turns, const Network& network, const Dataset& data,
                     const Partition& partition, double seconds, Communicator& comm);

}  // namespace fedselect
