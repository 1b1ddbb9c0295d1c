#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string_view>

namespace fedselect {

/// A file of plain bytes whose size is known when it is opened.
///
/// Every failure is an InputError that names the file, what is wrong with it, and what to do.
class BinaryFile {
 public:
  explicit BinaryFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// Bytes in it.
  std::uint64_t size() const { return size_; }
  /// Fills `bytes` from the byte `offset` on.
  void read(std::uint64_t offset, std::span<std::byte> bytes);
  /// Throws InputError "path problem (why): what to do".
  [[noreturn]] void refuse(std::string_view problem, std::string_view why) const;

 private:
  std::filesystem::path path_;
  std::ifstream stream_;
  std::uint64_t size_ = 0;
};

}  // namespace fedselect
