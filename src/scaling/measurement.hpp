#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/device_sum.hpp"
#include "fed/record.hpp"
#include "fed/simulation.hpp"
#include "io/run_writer.hpp"

namespace fedselect {

/// Hands sums on and counts what it is asked to add up.
class CountingSum final : public DeviceSum {
 public:
  explicit CountingSum(DeviceSum& sums) : sums_(sums) {}
  void all_reduce(std::span<std::int64_t> device) override;
  void all_reduce(std::span<std::uint32_t> device) override;
  std::string name() const override { return sums_.name(); }

  /// Bytes of this rank's arrays since the last call.
  std::int64_t take();

 private:
  DeviceSum& sums_;
  std::int64_t bytes_ = 0;
};

/// A counted round on all ranks of its point.
struct MeasuredRound {
  std::vector<RankRecord> ranks;  ///< every rank's phases add up to its time
  std::int64_t reduced = 0;       ///< bytes that each rank handed to sums over ranks
  std::int64_t needed = 0;  ///< bytes of the values of the client that shares most, 4 each: fewer
                            ///< can't tell the mean of what is shared
  double flops = 0;         ///< nominal, of all training

  /// Wall seconds: rank 0's, which ends the round by writing its records.
  double seconds() const;
  double imbalance() const { return busy_seconds(ranks).imbalance(); }
};

/// One repeat of one point; on the root.
struct MeasuredRepeat {
  std::vector<double> warmup;  ///< wall seconds of the rounds before those that count
  std::vector<MeasuredRound> rounds;
};

/// One point; on the root.
struct MeasuredPoint {
  std::int64_t value = 0;
  std::int32_t ranks = 0;
  std::int64_t clients = 0;
  std::int64_t parameters = 0;
  std::string config;    ///< resolved, TOML
  std::string manifest;  ///< JSON (io/manifest.hpp)
  std::vector<MeasuredRepeat> repeats;
};

/// Collective: runs a new simulation for `warmup` rounds, then for `rounds` that count, with
/// everything that a round of `fedselect run` does. `sums`: those of the simulation's device.
/// Returns the measures on the root, nothing elsewhere.
MeasuredRepeat measure_rounds(Simulation& simulation, RunWriter& writer, Communicator& comm,
                              CountingSum& sums, int warmup, int rounds);

}  // namespace fedselect
