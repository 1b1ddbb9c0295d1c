#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "estimate/rehearsal.hpp"

namespace fedselect {

/// The least and the most of some clients, and their sum.
struct Spread {
  std::int64_t sum = 0;
  std::int64_t least = 0;
  std::int64_t most = 0;

  /// `is_first`: of those that are added.
  void add(std::int64_t value, bool is_first);
};

/// One round of a federation, before it is run.
struct CourseRound {
  int round = 0;
  std::int64_t cohort = 0;           ///< clients, those of which nothing arrives among them
  std::vector<int> clients;          ///< of which something arrives, ascending
  std::vector<std::size_t> turn_of;  ///< of each of them, a number in `turns`
  std::vector<Turn> turns;
  Spread bytes_up;  ///< of the cohort, as result.h5 has them
  Spread bytes_down;
  Spread gradients;
  double flops = 0;           ///< nominal, of the training
  double personal_share = 0;  ///< mean over the cohort, after the round
};

/// What a method will do on a federation, round by round: who takes part is drawn as the run draws
/// it, what each client does is rehearsed once for all that come to a round in the same state.
///
/// Bytes are those of the run wherever masks are no question of accuracy. Sample gradients are
/// those of the rehearsed client, in proportion to a client's training samples. References must
/// outlive it.
class Course {
 public:
  /// `rehearsal`: of a client of `partition`.
  Course(const SimulationSetup& setup, const Algorithm& algorithm, const ParameterLayout& layout,
         const Partition& partition, Rehearsal& rehearsal);

  /// The next round.
  CourseRound next();

  // After the rounds so far

  /// State of a client; empty if it never took part.
  const ClientState& state(std::size_t client) const { return states_[state_of_[client]]; }
  /// Bits that the masks of all clients need if each is random in each tensor: Shannon's entropy.
  double mask_bits() const;
  /// The most bytes of memory that each client's state took in a round.
  const std::vector<std::size_t>& most_bytes() const { return most_bytes_; }

 private:
  std::size_t find_or_add(ClientState state);

  const SimulationSetup& setup_;
  const Algorithm& algorithm_;
  const ParameterLayout& layout_;
  const Partition& partition_;
  Rehearsal& rehearsal_;
  ClientFaults faults_;
  int round_ = 0;
  std::vector<ClientState> states_;  ///< that clients have had; the first one is empty
  std::map<std::vector<std::size_t>, std::size_t> known_;  ///< their numbers by what they amount to
  std::vector<std::size_t> state_of_;                      ///< of each client
  std::vector<std::size_t> most_bytes_;
};

}  // namespace fedselect
