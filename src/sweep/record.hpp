#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/raw_file.hpp"

namespace fedselect::sweep {

/// What is known of a trial: a line of a sweep's journal.
struct Record {
  enum class Status {
    begun,    ///< a worker took it up; the last word only if its job was killed
    stopped,  ///< its job was asked to stop
    done,     ///< `rounds` are complete
    failed
  };
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  std::string time =
      {};             ///< when it was written, UTC to the millisecond; empty: not yet, or of old
  std::string trial;  ///< its id
  Status status = Status::begun;
  std::int64_t rounds = 0;
  double accuracy = kNone;        ///< mean over clients, of the last test
  double worst_accuracy = kNone;  ///< of any client
  double personal_share = kNone;  ///< mean over the last cohort
  std::int64_t bytes = 0;         ///< up and down
  std::int64_t gradients = 0;     ///< of samples
  std::int64_t diverged = 0;      ///< how often a client was left out
  double seconds = 0;             ///< of all rounds
  std::string message;            ///< failed: why

  bool operator==(const Record&) const = default;
};

inline constexpr std::array<std::string_view, 4> kStatusNames{"begun", "stopped", "done", "failed"};

/// A record as one line of JSON, without its end.
std::string write_record(const Record& record);
/// And back. Throws InputError that begins with `where` if it is no such line.
Record read_record(std::string_view line, const std::string& where);

/// The records of a sweep, on disk: folder/journal/WRITER.jsonl. Each is there for good once
/// add() returns; a line that a killed program left unfinished is not read.
class Journal {
 public:
  /// Reads what all writers have left in the folder, which is made if it isn't there. `writer`:
  /// who adds; no two may have the same name at a time. Throws InputError naming file and line, or
  /// SystemError.
  Journal(std::string folder, std::string writer);

  /// In the order of their times, as the clocks of their writers said.
  const std::vector<Record>& records() const { return records_; }
  /// Sets the record's time.
  void add(Record record);

 private:
  void read(const std::string& path);

  std::string folder_;
  std::string own_;              ///< path
  std::optional<RawFile> file_;  ///< open once something was added
  std::vector<Record> records_;
};

}  // namespace fedselect::sweep
