#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/record.hpp"
#include "fed/simulation.hpp"
#include "io/checkpoint.hpp"
#include "io/result_file.hpp"
#include "io/round_journal.hpp"
#include "model/network.hpp"

namespace fedselect {

/// Writes one run's folder (docs/result-format.md). Constructed on all ranks; files are touched by
/// the root only.
class RunWriter {
 public:
  /// Collective. Creates the folder with config.toml, manifest.json and metrics.csv, which has its
  /// header only. All ranks throw InputError if it can't be written, or if it holds a run already.
  /// References must outlive this object.
  RunWriter(std::filesystem::path folder, RunDescription description, const Network& network,
            Communicator& comm);

  /// Says by an InputError that a checkpoint is not one to go on from.
  using Accept = std::function<void(const CheckpointHeader&)>;
  /// Collective. Takes up the interrupted run in this folder: `simulation`, which is new, becomes
  /// what it was at the newest checkpoint that is whole; what the folder says of later rounds goes.
  /// All ranks throw InputError if there is no such checkpoint, or SystemError.
  RunWriter(std::filesystem::path folder, RunDescription description, const Network& network,
            Communicator& comm, Simulation& simulation, const Accept& accept);

  /// Rounds that are complete.
  int rounds_done() const { return rounds_done_; }
  /// These rounds, on the root.
  const std::vector<JournalEntry>& entries() const { return entries_; }
  /// What a user should know about how the run was taken up; empty: nothing.
  const std::string& note() const { return note_; }

  /// Adds a round: on the root to metrics.csv (flushed), journal.bin, and what result.h5 will say.
  /// `round`: of all clients on the root; `seconds`: its wall time. Throws SystemError.
  void add(const RoundRecord& round, double seconds);

  /// Collective: writes checkpoint.h5. If it can't be written, all ranks throw SystemError; the
  /// last one is still there.
  void checkpoint(Simulation& simulation);

  /// Collective: writes result.h5 beside its final name, syncs and renames it; completes
  /// manifest.json. If that fails, all ranks throw SystemError, and no result.h5 is left.
  void finish(Simulation& simulation, const Dataset& data, const Partition& partition);

 private:
  void create_folder();
  std::vector<std::filesystem::path> find_checkpoints() const;
  std::string try_restore(const std::filesystem::path& checkpoint, Simulation& simulation,
                          const Accept& accept);
  void take_up_folder();
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
  int rounds_done_ = 0;
  std::vector<JournalEntry> entries_;    ///< on the root
  std::optional<RoundJournal> journal_;  ///< likewise
  std::ofstream metrics_;
  std::string note_;
  double seconds_before_ = 0;  ///< of the rounds before this program took the run up
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace fedselect
