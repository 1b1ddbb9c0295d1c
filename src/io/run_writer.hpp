#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/record.hpp"
#include "fed/simulation.hpp"
#include "io/result_file.hpp"
#include "model/network.hpp"

namespace fedselect {

/// Throws InputError if the folder exists and holds anything.
void require_unused(const std::filesystem::path& folder);

/// Writes one run's folder (docs/result-format.md). Constructed on all ranks; files are touched by
/// the root only.
class RunWriter {
 public:
  /// Collective. Creates the folder with config.toml, manifest.json and metrics.csv, which has its
  /// header only. All ranks throw InputError if it can't be written, or if it holds a run already.
  /// References must outlive this object.
  RunWriter(std::filesystem::path folder, RunDescription description, const Network& network,
            Communicator& comm);

  /// Root only, does nothing elsewhere: appends a round to metrics.csv (flushed) and keeps it for
  /// result.h5. `round`: of all clients; `seconds`: its wall time. Throws SystemError.
  void add(const RoundRecord& round, double seconds);

  /// Collective: writes result.h5 beside its final name, syncs and renames it; completes
  /// manifest.json. If that fails, all ranks throw SystemError, and no result.h5 is left.
  void finish(Simulation& simulation, const Dataset& data, const Partition& partition);

 private:
  void create_folder();
  void write_parts(ResultFile& file, Simulation& simulation, const Dataset& data,
                   const Partition& partition) const;
  /// What a client's rank makes into the bytes of its row.
  using RowOfClient = std::function<std::vector<std::byte>(int)>;
  void collect_rows(ResultFile* file, Simulation& simulation,
                    const std::function<void(ResultFile&)>& begin, const RowOfClient& own) const;
  void collect_masks(ResultFile* file, Simulation& simulation) const;
  void collect_models(ResultFile* file, Simulation& simulation) const;
  void collect_cross(ResultFile* file, Simulation& simulation) const;
  void collect_new_clients(ResultFile* file, Simulation& simulation) const;

  std::filesystem::path folder_;
  RunDescription description_;
  const Network& network_;
  const ParameterLayout& layout_;
  Communicator& comm_;
  std::vector<RoundRecord> rounds_;
  std::ofstream metrics_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace fedselect
