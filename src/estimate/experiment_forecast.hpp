#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "estimate/device_profile.hpp"
#include "estimate/forecast.hpp"
#include "estimate/process_memory.hpp"

namespace fedselect {

/// What an experiment will need, and what there is. Bytes and seconds.
struct ExperimentForecast {
  std::string name;
  std::int64_t clients = 0;
  std::int64_t model_bytes = 0;  ///< of a model that is sent whole
  std::string device;
  Ranks ranks;
  std::vector<MethodForecast> methods;
  double start_seconds = 0;      ///< before the first round: data, partition, devices
  std::size_t shared_bytes = 0;  ///< of the ranks of a node: the data set, libraries
  std::optional<DeviceProfile> profile;
  bool merges_robustly = false;  ///< by an order statistic of all values

  NodeMemory node;                           ///< of this node
  std::size_t scratch_free = 0;              ///< in the folder of spilled states
  std::size_t output_free = 0;               ///< where runs are written
  std::optional<double> limit_seconds = {};  ///< of the job

  /// The largest of all methods: they run one after another.
  std::size_t rank_bytes() const;
  std::size_t node_bytes() const;
  /// Spilled on a node, at most.
  std::size_t spill_bytes() const;
  /// Results of all methods, and checkpoints of the one that runs.
  std::int64_t file_bytes() const;
  double seconds() const;
};

/// The forecast as JSON; its keys are in docs/estimate.md.
std::string write_json(const ExperimentForecast& forecast);

}  // namespace fedselect
