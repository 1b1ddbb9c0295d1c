#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct gzFile_s;  // zlib's

namespace fedselect {

/// One IDX file of unsigned bytes, plain or gzip: the format of MNIST and its relatives.
///
/// Layout: the bytes 0, 0, 8 (unsigned byte), number of axes; the length of each axis, 32 bits,
/// most significant byte first; then the values, last axis fastest. Every failure is an InputError
/// that names the file, what is wrong with it, and what to do.
class IdxReader {
 public:
  /// Opens the file and reads its header, which must have this many axes. Lengths that the file
  /// can't hold, given its size, are refused here: nothing is ever allocated for them.
  IdxReader(std::filesystem::path file, std::size_t axes);

  const std::filesystem::path& file() const { return file_; }
  /// Length of each axis, none of them 0.
  const std::vector<std::size_t>& lengths() const { return lengths_; }
  /// Number of values: the product of the lengths.
  std::size_t size() const { return size_; }

  /// Fills `values`, size() bytes, and checks that the file ends there. Once.
  void read_values(std::span<std::byte> values);

 private:
  std::size_t read(std::span<std::byte> bytes);
  void read_magic(std::size_t axes);
  void read_lengths(std::size_t axes);
  [[noreturn]] void refuse_header() const;
  [[noreturn]] void refuse_stream() const;
  [[noreturn]] void refuse(std::string_view problem, std::string_view why,
                           std::string_view advice) const;

  struct Close {
    void operator()(gzFile_s* stream) const;
  };

  std::filesystem::path file_;
  std::unique_ptr<gzFile_s, Close> stream_;
  std::vector<std::size_t> lengths_;
  std::size_t size_ = 1;
};

/// The file `stem` in `folder`, or else `stem`.gz. Throws InputError if there is neither.
std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& stem);

}  // namespace fedselect
