#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "estimate/calibration.hpp"
#include "estimate/course.hpp"
#include "estimate/device_profile.hpp"
#include "estimate/file_sizes.hpp"

namespace fedselect {

/// How sure it is what is personal, and so what is sent.
enum class Sureness {
  exact,      ///< bytes are those that the run will have
  at_least,   ///< it sends no less: parameters that never change are not made personal
  if_all_do,  ///< every client prunes as soon as it may; the run's clients need the accuracy for it
};

/// One round, as foretold.
struct ForecastRound {
  std::int64_t cohort = 0;
  Spread bytes_up;
  Spread bytes_down;
  Spread gradients;
  double flops = 0;
  double personal_share = 0;
  double seconds = 0;
};

/// What one method will do, need and take.
struct MethodForecast {
  std::string label;
  Sureness sureness = Sureness::exact;
  std::vector<ForecastRound> rounds;
  double finish_seconds = 0;     ///< after the last round
  std::size_t state_bytes = 0;   ///< of clients, on the rank that has most, in memory
  std::size_t spill_bytes = 0;   ///< and in its file, at most
  std::size_t rank_bytes = 0;    ///< resident if that rank is the root, shared memory among it
  std::size_t root_bytes = 0;    ///< of that, what only the root has
  std::size_t device_bytes = 0;  ///< of a GPU, the data set among it; 0: none
  FileSizes files;

  double seconds() const;
  double flops() const;
  std::int64_t bytes() const;  ///< up and down
  /// What a mean client of each round has to do.
  std::vector<ClientLoad> loads() const;
};

/// The ranks on which a run is to be.
struct Ranks {
  int count = 1;
  int on_node = 1;   ///< at most
  int measured = 1;  ///< those of the calibration
};

/// Adds up what clients cost into the seconds of rounds.
///
/// The clients of a cohort are where the run has them: hosted by assign_shards, lent by
/// choose_loans among ranks of the same pace. Each round is as long as its busiest rank, then come
/// what all do together and what the root writes. What ranks say to each other is scaled by the
/// logarithm of their number from those that were measured; of one rank nothing can be scaled, then
/// it is left out.
class RoundClock {
 public:
  /// `rehearsed`: the training and test samples of the client of whom turns tell. References must
  /// outlive it.
  RoundClock(const MethodCost& cost, const Network& network, const Partition& partition,
             const FederationConfig& federation, const Rehearsal& rehearsal, const Ranks& ranks);

  double seconds(const CourseRound& round) const;
  /// Of work that is done once by the ranks together, such as tests of everyone by everyone.
  double seconds_of_tests(double flops) const;
  /// Clients that each rank hosts.
  const std::vector<int>& rank_of_client() const { return rank_of_; }

 private:
  double flops_of_client(const Work& work, std::size_t client) const;
  double seconds_of(const Turn& turn, std::size_t client) const;

  const MethodCost& cost_;
  const Network& network_;
  const Partition& partition_;
  std::size_t taking_part_;
  const Rehearsal& rehearsal_;
  Ranks ranks_;
  std::vector<double> work_;
  std::vector<int> rank_of_;
};

/// Memory in bytes that ranks of the root's node need: what they share and what only the root has
/// once, the rest each.
std::size_t node_bytes(const MethodForecast& method, std::size_t shared_bytes, int ranks_on_node);

}  // namespace fedselect
