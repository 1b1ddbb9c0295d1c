#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "files/raw_file.hpp"

namespace fedselect {

/// Records in a file of the node that nobody else sees: it has no name, so nothing remains of it
/// however the process ends. The system's cache reads ahead and writes behind. Failures throw
/// SystemError.
class SpillFile {
 public:
  /// `folder`: empty for the system's place of temporary files. Made with the first record.
  explicit SpillFile(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Where a record is.
  struct Place {
    std::uint64_t position = 0;
    std::uint64_t size = 0;      ///< 0: nowhere
    std::uint64_t capacity = 0;  ///< bytes kept for it
  };
  /// Writes a record, in place of an old one if it has room.
  Place write(std::span<const std::byte> record, const Place& old);
  std::vector<std::byte> read(const Place& place);
  void expect_soon(const Place& place);
  /// The place may be used for something else, together with its neighbours.
  void free(const Place& place);
  /// Bytes of the file.
  std::uint64_t size() const { return end_; }

 private:
  void open();
  std::uint64_t find_room(std::uint64_t capacity);
  void add_gap(std::uint64_t position, std::uint64_t bytes);
  void remove_gap(std::map<std::uint64_t, std::uint64_t>::iterator gap);

  std::filesystem::path folder_;
  std::optional<RawFile> file_;
  std::uint64_t end_ = 0;
  std::map<std::uint64_t, std::uint64_t> gaps_;  ///< free bytes by position; no two are neighbours
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;  ///< the same: bytes, position
};

}  // namespace fedselect
