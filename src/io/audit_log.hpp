#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
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

/// One line.
struct AuditEntry {
  std::string parent;       ///< SHA-256 of the line before; zeros on the first
  std::string hash;         ///< of this line
  std::string time;         ///< UTC
  std::string what;         ///< "begin", "round", "keep", "resume" or "finish"
  std::int64_t rounds = 0;  ///< complete, after what happened
  std::string config;       ///< SHA-256 of config.toml
  std::string model;        ///< of pack_model() of the global model; begin and round
  std::int64_t bytes = 0;   ///< of that model
  std::vector<MaskChange> masks;
  std::string file;     ///< keep: what was kept, within the run's folder
  std::string result;   ///< finish: SHA-256 of result.h5
  std::string metrics;  ///< finish: SHA-256 of metrics.csv
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

/// The rounds that hold after all these entries: entry t is that of round t. What a resumed run
/// computed again takes the place of what it was. Throws InputError if rounds are missing, or came
/// out differently under the same config.
std::vector<const AuditEntry*> rounds_in_force(std::span<const AuditEntry> entries,
                                               const std::filesystem::path& path);

/// Writes one. Throws SystemError, as all members do.
class AuditLog {
 public:
  /// A new one for a run with this config, whose model before the first round is `model` (packed).
  AuditLog(std::filesystem::path path, const std::string& config, std::span<const float> model);
  /// Goes on with the log of a run that is taken up after `rounds` rounds, from a checkpoint that
  /// was written when the log stood at `position`. Throws InputError if it never stood there.
  AuditLog(const std::filesystem::path& path, const std::string& config,
           const AuditPosition& position, int rounds);

  /// `round`: of all clients; `model`: after it, packed.
  void add_round(const RoundRecord& round, std::span<const float> model);
  /// A checkpoint was kept.
  void add_kept(int rounds, const std::string& file);
  void add_finish(int rounds, const std::string& result, const std::string& metrics);

  const AuditPosition& position() const { return position_; }
  /// Returns when the disk has all entries.
  void sync() { file_->sync(); }

 private:
  void add(const char* what, int rounds, const nlohmann::ordered_json& facts);

  std::optional<RawFile> file_;
  std::string config_;  ///< its hash
  AuditPosition position_;
};

}  // namespace fedselect
