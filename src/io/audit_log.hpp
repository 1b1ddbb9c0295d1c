#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "fed/record.hpp"
#include "files/raw_file.hpp"

namespace fedselect {

// audit.jsonl of a run (docs/reliability.md): what became of the global model and of every client's
// mask, one JSON object a line. Each line holds the SHA-256 of the line before it, so none can be
// altered or removed without all that follow; the last line's own hash, the head, stands for all.
// Lines are only ever added, also when a run goes on from an older round.

/// A client's mask after a round that changed it.
struct MaskChange {
  std::int64_t client = 0;
  std::int64_t changes = 0;  ///< bits
  std::string mask;          ///< ClientRecord::mask_hash, in hex
};

/// What a run finishes with: the SHA-256 of each file; empty: the log doesn't say.
struct FinishedFiles {
  std::string result;    ///< result.h5
  std::string metrics;   ///< metrics.csv
  std::string manifest;  ///< manifest.json
  std::string journal;   ///< journal.bin
};

/// One line.
struct AuditEntry {
  std::string parent;       ///< SHA-256 of the line before; zeros on the first
  std::string hash;         ///< of this line
  std::string time;         ///< UTC
  std::string what;         ///< "begin", "round", "checkpoint", "keep", "resume" or "finish"
  std::int64_t rounds = 0;  ///< complete, after what happened
  std::string config;       ///< SHA-256 of config.toml
  std::string model;        ///< of pack_model() of the global model; begin and round
  std::int64_t bytes = 0;   ///< of that model
  std::vector<MaskChange> masks;
  /// begin and resume: what the rounds to come are computed on; none in logs of programs that
  /// logged neither devices nor checkpoints.
  std::optional<std::string> device;
  bool open = false;      ///< resume: in the middle of a round
  std::int64_t from = 0;  ///< resume: lines that stood there when its checkpoint was written
  std::string digest;     ///< checkpoint: digest_of_file() of it
  std::string file;       ///< keep: what was kept, within the run's folder
  FinishedFiles finished;
};

/// Where a log stands.
struct AuditPosition {
  std::int64_t entries = 0;
  std::string head;  ///< the last entry's hash
};

/// All whole lines of a log. Throws InputError naming the first line that is not what its
/// successor, or the format, says; and if the file can't be read. A last line without an end, which
/// a killed program leaves, is not counted.
std::vector<AuditEntry> read_audit_log(const std::filesystem::path& path);

/// Whether the program that wrote the entry number `at`, from 0, logged each of its checkpoints.
bool logs_checkpoints(std::span<const AuditEntry> entries, std::size_t at);

/// What a log says of the rounds.
struct LoggedRounds {
  /// Those that hold after all entries: number t is round t + 1. What a resumed run computed again
  /// takes the place of what it was.
  std::vector<const AuditEntry*> in_force;
  /// Rounds that came out differently when they were computed again on another kind of device,
  /// which rounds in another way.
  std::set<std::int64_t> differing;
};
/// Throws InputError if rounds are missing, or came out differently under the same config on the
/// same kinds of devices.
LoggedRounds rounds_of(std::span<const AuditEntry> entries, const std::filesystem::path& path);

/// Where a run is taken up.
struct AuditResume {
  AuditPosition position;  ///< the log when its checkpoint was written
  int rounds = 0;          ///< complete
  bool open = false;       ///< some clients of the next one are done, or all but its test
};

/// Writes one. Throws SystemError, as all members do.
class AuditLog {
 public:
  /// A new one for a run with this config on such a device (Ops::device()), whose model before the
  /// first round is `model` (packed).
  AuditLog(std::filesystem::path path, const std::string& config, const std::string& device,
           std::span<const float> model);
  /// Goes on with the log of a run that is taken up. Throws InputError if it never stood where
  /// `resume` says.
  AuditLog(const std::filesystem::path& path, const std::string& config, const std::string& device,
           const AuditResume& resume);

  /// `round`: of all clients; `model`: after it, packed.
  void add_round(const RoundRecord& round, std::span<const float> model);
  /// A checkpoint is whole and on disk, and about to take its name; `digest`: digest_of_file().
  void add_checkpoint(int rounds, const std::string& digest);
  /// It was kept.
  void add_kept(int rounds, const std::string& file);
  void add_finish(int rounds, const FinishedFiles& files);

  const AuditPosition& position() const { return position_; }
  /// Of a log that is gone on with: what the run was computed on before; empty: it doesn't say.
  const std::string& device_before() const { return device_before_; }
  /// Returns when the disk has all entries.
  void sync() { file_->sync(); }

 private:
  void add(const char* what, int rounds, const nlohmann::ordered_json& facts);

  std::optional<RawFile> file_;
  std::string config_;  ///< its hash
  AuditPosition position_;
  std::string device_before_;
};

}  // namespace fedselect
