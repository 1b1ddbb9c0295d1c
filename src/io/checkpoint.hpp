#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "fed/simulation.hpp"
#include "io/audit_log.hpp"
#include "io/round_journal.hpp"

namespace fedselect {

namespace hdf5 {
class Reader;
}

/// What a checkpoint says of itself.
struct CheckpointHeader {
  int rounds = 0;               ///< that are complete
  std::string config;           ///< of the run, resolved
  std::uint64_t data_hash = 0;  ///< fingerprint of what the config's files hold
  JournalPosition journal;      ///< the rounds before it
  AuditPosition audit{};        ///< the log when it was written
  // As read; when one is written the simulation says it:
  bool round_is_open = false;
  bool round_is_merged = false;  ///< it is open, and only its test is left (OpenRound)
};

/// Collective: writes the state of a simulation between two rounds, or in an open one, to the file
/// `path` (docs/result-format.md). It stands beside the old one until it is whole and on disk; the
/// old one then becomes `previous`. Independent of the number of ranks. All ranks throw SystemError
/// if it can't be written; then the old one is still there. `log`, if given, is called on the root
/// with the digest (digest_of_file()) of the whole file before it takes its name.
using CheckpointLog = std::function<void(const std::string& digest)>;
void write_checkpoint(const std::filesystem::path& path, const std::filesystem::path& previous,
                      const CheckpointHeader& header, Simulation& simulation, Communicator& comm,
                      const CheckpointLog& log = {});

/// Throws InputError if a version that is named as that of so many rounds is of others.
void require_rounds(const std::filesystem::path& version, const CheckpointHeader& header,
                    int rounds);

/// A checkpoint to go on from. Nothing in the file is trusted: what doesn't fit is an InputError
/// that names the file, what is wrong, and the remedy.
class Checkpoint {
 public:
  explicit Checkpoint(std::filesystem::path path);
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  const CheckpointHeader& header() const { return header_; }
  /// Puts the state into a new simulation of the same config and data; all ranks of it call this.
  /// If it throws, the simulation is good for another checkpoint's restore() only.
  void restore(Simulation& simulation) const;

 private:
  std::unique_ptr<hdf5::Reader> file_;
  CheckpointHeader header_;
};

}  // namespace fedselect
