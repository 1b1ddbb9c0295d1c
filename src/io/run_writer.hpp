#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/record.hpp"
#include "fed/simulation.hpp"
#include "files/raw_file.hpp"
#include "io/audit_log.hpp"
#include "io/checkpoint.hpp"
#include "io/result_file.hpp"
#include "io/round_journal.hpp"
#include "model/network.hpp"

namespace fedselect {

/// The header of a checkpoint in, or of, this folder of a run. Throws InputError if the file is
/// none, or if no journal there holds the rounds before it.
CheckpointHeader read_header(const std::filesystem::path& folder,
                             const std::filesystem::path& checkpoint, const JournalBounds& bounds);

/// Throws InputError if audit.jsonl in this folder never stood where a checkpoint says.
void require_logged(const std::filesystem::path& folder, const AuditPosition& position);

/// Writes one run's folder (docs/result-format.md). Constructed on all ranks; files are touched by
/// the root only.
class RunWriter {
 public:
  /// Collective. Creates the folder with config.toml, manifest.json, audit.jsonl and metrics.csv,
  /// which has its header only. All ranks throw InputError if it can't be written, or if it holds a
  /// run already. References must outlive this object.
  RunWriter(std::filesystem::path folder, RunDescription description, const Network& network,
            Communicator& comm, Simulation& simulation);

  /// Says by an InputError that a checkpoint is not one to go on from.
  using Accept = std::function<void(const CheckpointHeader&)>;
  /// Collective. Takes up the interrupted run in this folder: `simulation`, which is new, becomes
  /// what it was at the newest checkpoint that is whole, or at the version that was kept after
  /// `from_round` rounds; what the folder says of later rounds goes. All ranks throw InputError if
  /// there is no such checkpoint, and the folder is as it was; or SystemError.
  RunWriter(std::filesystem::path folder, RunDescription description, const Network& network,
            Communicator& comm, Simulation& simulation, const Accept& accept,
            std::optional<int> from_round = {});

  /// Rounds that are complete.
  int rounds_done() const { return rounds_done_; }
  /// On the root: gives `visit` each of these rounds, out of the journal. Throws SystemError.
  void each_round(const std::function<void(const JournalEntry&)>& visit) const;
  /// The head of the audit log, on the root.
  const std::string& head() const { return audit_->position().head; }
  /// What a user should know about how the run was taken up; empty: nothing.
  const std::string& note() const { return note_; }

  /// Adds a round that the simulation just completed: on the root to metrics.csv (flushed),
  /// journal.bin and audit.jsonl.
  /// `round`: of all clients on the root; `seconds`: its wall time. Throws SystemError.
  void add(const RoundRecord& round, double seconds);

  /// Collective: writes checkpoint.h5. If it can't be written, all ranks throw SystemError; the
  /// last one is still there. `keep`: also under a name of its own, for good.
  void checkpoint(bool keep);

  /// Collective: writes result.h5 beside its final name, syncs and renames it; completes
  /// manifest.json. If that fails, all ranks throw SystemError, and no result.h5 is left.
  void finish(const Dataset& data, const Partition& partition);

 private:
  void create_folder();
  std::vector<std::filesystem::path> find_checkpoints() const;
  std::string try_restore(const std::filesystem::path& checkpoint, const Accept& accept);
  void take_up_folder();
  void note_device();
  JournalBounds bounds() const { return {simulation_.clients(), layout_.tensors().size()}; }
  std::vector<float> packed_model() const;
  void write_parts(ResultFile& file, const Dataset& data, const Partition& partition) const;
  void seal(ResultFile& file);
  /// What a client's rank makes into the bytes of its row.
  using RowOfClient = std::function<std::vector<std::byte>(int)>;
  void collect_rows(ResultFile* file, const std::function<void(ResultFile&)>& begin,
                    const RowOfClient& own) const;
  void collect_masks(ResultFile* file) const;
  void collect_models(ResultFile* file) const;
  void collect_cross(ResultFile* file) const;
  void collect_new_clients(ResultFile* file) const;

  std::filesystem::path folder_;
  RunDescription description_;
  const Network& network_;
  const ParameterLayout& layout_;
  Communicator& comm_;
  Simulation& simulation_;
  int rounds_done_ = 0;
  std::optional<RoundJournal> journal_;  ///< on the root
  struct TakenUp {
    std::filesystem::path checkpoint;
    CheckpointHeader header;
    std::filesystem::path journal;  ///< on the root
  };
  TakenUp taken_up_;
  std::optional<AuditLog> audit_;   ///< on the root
  std::optional<RawFile> metrics_;  ///< on the root
  std::optional<int> from_round_;
  std::string note_;
  double seconds_before_ = 0;  ///< of the rounds before this program took the run up
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace fedselect
