#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "files/hdf5_messages.hpp"

namespace fedselect::hdf5 {

/// a * b, or the largest number where that would be larger.
std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b);
std::uint64_t saturating_product(const std::vector<std::uint64_t>& factors);

class StoredValues;

/// The chunk that was read last: rows that are read one by one share it.
struct LastChunk {
  const StoredValues* owner = nullptr;
  std::uint64_t address = kUndefinedAddress;
  std::string values;
};

/// The values of a data set as the file's bytes, with their filters undone. Errors as in
/// hdf5_objects.hpp.
class StoredValues {
 public:
  /// Finds the chunks. `file` must outlive this object.
  StoredValues(const FileBytes& file, Description description);

  const Description& description() const { return description_; }
  std::uint64_t rows() const {
    const auto& sizes = description_.extents.sizes;
    return sizes.empty() ? 1 : sizes.front();
  }
  /// Bytes in the file.
  std::uint64_t stored_bytes() const { return stored_bytes_; }

  /// Fills `bytes` with positions [first, first + rows) of the first axis. The caller has made sure
  /// that they are there, and that the stored bytes can fill the data set and a chunk.
  void read(std::uint64_t first, std::uint64_t rows, std::span<std::byte> bytes,
            LastChunk& last) const;

 private:
  using Position = std::vector<std::uint64_t>;
  struct Chunk {
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
    std::uint32_t unfiltered = 0;  ///< bit i: filter i was left out
  };

  void find_chunks();
  void find_in_tree();
  void find_in_row();
  void add_chunk(Position position, const Chunk& chunk);
  const std::string& chunk_values(const Chunk& chunk, LastChunk& last) const;
  void copy_chunk(const Position& position, const std::string& values, std::uint64_t first,
                  std::uint64_t rows, std::span<std::byte> bytes) const;

  const FileBytes& file_;
  Description description_;
  Budget budget_;
  std::uint64_t stored_bytes_ = 0;
  std::map<Position, Chunk> chunks_;  ///< by the position of their first value
};

}  // namespace fedselect::hdf5
