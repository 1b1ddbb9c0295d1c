#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/experiment.hpp"
#include "app/rank_device.hpp"
#include "app/store_limits.hpp"
#include "comm/communicator.hpp"
#include "estimate/forecast.hpp"

namespace fedselect {

/// What `fedselect estimate` is asked for, besides the config.
struct EstimateOptions {
  std::optional<int> ranks;          ///< none: those of the job
  std::optional<int> ranks_on_node;  ///< none: as the job has them, or all
  DeviceOptions device;
  StoreOptions store;
  std::vector<std::string> command;  ///< the command line, for the manifest of what is run
};

/// Foretells the methods of an experiment: rehearses what clients do, and runs a few of them for
/// the seconds and the memory.
class Estimator {
 public:
  /// Collective, as all members are. References must outlive it. All ranks throw AgreedError if
  /// there is no such device.
  Estimator(EstimateOptions options, const Experiment& experiment, Communicator& comm);

  /// Method number `index`; on the root, empty elsewhere.
  MethodForecast forecast(std::size_t index);

  /// The ranks that are meant.
  const Ranks& ranks() const { return ranks_; }
  const std::string& device() const { return device_.place(); }
  /// Memory that the ranks of a node share, as of the last forecast.
  std::size_t shared_bytes() const { return shared_bytes_; }

 private:
  struct Measured {
    MethodCost cost;
    std::size_t device_bytes = 0;
  };
  Measured measure(std::size_t index);
  Simulation::GroupPlan plan_groups(const SimulationSetup& setup, const Algorithm& algorithm) const;
  std::size_t device_bytes(const SimulationSetup& setup, const Algorithm& algorithm) const;
  std::size_t uploaded_bytes(const MethodForecast& forecast, std::size_t index) const;
  void add_memory(MethodForecast& forecast, std::size_t index, const MethodCost& cost,
                  const Course& course, const std::vector<int>& rank_of, std::size_t records) const;
  double concluding_flops() const;

  EstimateOptions options_;
  const Experiment& experiment_;
  Communicator& comm_;
  RankDevice device_;
  Ranks ranks_;
  std::size_t client_;  ///< that stands for all: its training samples are nearest to the mean
  std::uint64_t data_hash_;
  std::size_t shared_bytes_ = 0;
};

}  // namespace fedselect
