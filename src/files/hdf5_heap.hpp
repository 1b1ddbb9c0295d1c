#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "files/hdf5_bytes.hpp"

namespace fedselect::hdf5 {

/// Texts of variable length in an HDF5 file. Source: HDF5 File Format Specification 3.0, III.E
/// (global heap) and IV.B (references to it).
class HeapTexts {
 public:
  /// Never holds more bytes than `file`, which must outlive this object.
  explicit HeapTexts(const FileBytes& file) : file_(file), collections_budget_(file) {}

  /// The texts that references lead to. Throws std::runtime_error that says what is wrong.
  std::vector<std::string> read(std::string_view references);

 private:
  /// A piece of the file; [begin, begin + size) lies within it.
  struct Piece {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };
  /// The objects of one heap collection, by index.
  using Collection = std::map<std::uint16_t, Piece>;

  const Collection& collection(std::uint64_t address);

  const FileBytes& file_;
  Budget collections_budget_;
  std::map<std::uint64_t, Collection> collections_;
};

}  // namespace fedselect::hdf5
