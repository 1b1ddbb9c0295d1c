#pragma once

#include <cstdint>
#include <filesystem>
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
  std::uint64_t data_hash = 0;  ///< fingerprint of samples and partition
  JournalPosition journal;      ///< the rounds before it
  AuditPosition audit{};        ///< the log when it was written
};

/// Collective: writes the state of a simulation between two rounds, or in an open one, to the file
/// `path` (docs/result-format.md). It stands beside the old one until it is whole and on disk; the
/// old one then becomes `previous`. Independent of the number of ranks. All ranks throw SystemError
/// if it can't be written; then the old one is still there.
void write_checkpoint(const std::filesystem::path& path, const std::filesystem::path& previous,
                      const CheckpointHeader& header, Simulation& simulation, Communicator& comm);

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
