#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/hash.hpp"
#include "fed/record.hpp"
#include "files/raw_file.hpp"

namespace fedselect {

/// A round as a run's files tell of it.
struct JournalEntry {
  RoundRecord round;   ///< of all clients and ranks
  double seconds = 0;  ///< its wall time
};

/// How far a journal went at some instant.
struct JournalPosition {
  std::uint64_t bytes = 0;
  std::uint64_t hash = 0;  ///< of all these bytes
};

/// The run of which a journal is: entries that don't fit it are damage.
struct JournalBounds {
  std::size_t clients = 0;
  std::size_t tensors = 0;  ///< of the model, without statistics
};

/// The file `journal.bin` of a run: every round's records as they came, so that checkpoints need
/// not repeat them. Only ever appended to; what stands behind a checkpoint's position is cut off
/// when the run goes on from there. Read by the program that wrote it alone: the layout is that of
/// the structs. Nothing in it is trusted all the same.
class RoundJournal {
 public:
  /// A new one, in place of an old one.
  explicit RoundJournal(std::filesystem::path path);
  /// The old one, to go on with at `position`. Changes nothing. Throws InputError if its bytes up
  /// to there are not those of the position, or no entries of this run.
  RoundJournal(std::filesystem::path path, const JournalPosition& position,
               const JournalBounds& bounds);

  /// How many rounds stand before `position` in a journal, which is only read; none if it is not
  /// there, or its bytes up to there are not those of the position, or no entries of this run.
  static std::optional<std::size_t> count(const std::filesystem::path& path,
                                          const JournalPosition& position,
                                          const JournalBounds& bounds);

  /// Calls `visit` with the whole entries at the beginning of a journal, in order, one in memory at
  /// a time. Returns how many there are: 0 if there is no such file.
  static std::size_t read(const std::filesystem::path& path, const JournalBounds& bounds,
                          const std::function<void(const JournalEntry&)>& visit);

  /// Bytes of so many rounds with so many clients' records in all, on so many ranks.
  static std::uint64_t bytes_of_rounds(std::size_t rounds, std::size_t records, std::size_t tensors,
                                       std::size_t ranks);

  /// How many rounds it holds.
  std::size_t rounds() const { return rounds_; }
  /// Cuts off what stands behind the position. Throws SystemError, as all members do.
  void drop_rest() { file_->cut(bytes_); }
  /// `round`: as gather_round() leaves it on the root; `seconds`: its wall time.
  void add(const RoundRecord& round, double seconds);
  /// Returns when the disk has all entries.
  JournalPosition sync();

 private:
  std::optional<RawFile> file_;
  Hash hash_;
  std::uint64_t bytes_ = 0;
  std::size_t rounds_ = 0;
};

}  // namespace fedselect
