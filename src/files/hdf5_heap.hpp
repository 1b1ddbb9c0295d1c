#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace fedselect::hdf5 {

/// Texts of variable length in an HDF5 file, read without the library, which believes what a file
/// says of them: one flipped bit in such a reference ends it with a segmentation fault (1.10).
///
/// Layout: HDF5 File Format Specification 3.0, III.E (global heap) and IV.B (references to it), for
/// addresses and lengths of 8 bytes and no user block.
class HeapTexts {
 public:
  /// `bytes`: the file's size. No more than that many bytes are ever held.
  HeapTexts(const std::filesystem::path& path, std::uint64_t bytes);

  /// The n texts whose references stand in the file from `address` on. Throws std::runtime_error
  /// that says what is wrong.
  std::vector<std::string> read(std::uint64_t address, std::uint64_t n);

 private:
  /// A piece of the file; [begin, begin + size) lies within it.
  struct Piece {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };
  /// The objects of one heap collection, by index.
  using Collection = std::map<std::uint16_t, Piece>;

  std::string bytes_at(std::uint64_t begin, std::uint64_t size);
  const Collection& collection(std::uint64_t address);

  std::ifstream file_;
  std::uint64_t file_bytes_;
  std::uint64_t collection_bytes_ = 0;  ///< of all collections seen; they can't overlap
  std::map<std::uint64_t, Collection> collections_;
};

}  // namespace fedselect::hdf5
