#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/record.hpp"
#include "fed/simulation.hpp"
#include "model/network.hpp"

namespace fedselect {

/// What a result file says besides measurements.
struct RunDescription {
  std::string name;     ///< of the experiment
  std::string label;    ///< of the method within it
  std::string method;
  std::string config;   ///< resolved, TOML
  std::string manifest; ///< JSON, as of the start
  std::int64_t seed = 0;
  std::int64_t rounds = 0;
  std::string_view tested_on;
  bool masks = true;
};

/// Writes one run's folder (docs/result-format.md). Constructed on all ranks; files are touched by the root only.
class RunWriter {
 public:
  /// Collective. Creates the folder with config.toml, manifest.json and an empty metrics.csv. Throws InputError if
  /// it can't be written, or if it holds a run already.
  RunWriter(std::filesystem::path folder, RunDescription description, Communicator& comm);

  /// Root only: appends a round to metrics.csv (flushed) and keeps it for result.h5. `seconds`: wall time of the round.
  void add(const RoundRecord& round, double seconds);

  /// Collective: writes result.h5 beside its final name, syncs and renames it; completes manifest.json.
  void finish(const Simulation& simulation, const Network& network, const Dataset& data,
              const Partition& partition);

 private:
  std::filesystem::path folder_;
  RunDescription description_;
  Communicator& comm_;
  std::vector<RoundRecord> rounds_;
  std::ofstream metrics_;
};

}  // namespace fedselect
