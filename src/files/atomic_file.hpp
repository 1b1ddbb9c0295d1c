#pragma once

#include <filesystem>
#include <string_view>

namespace fedselect {

/// A file that grows beside its final name ("NAME.partial") and takes it when it is whole, so at
/// any instant, even after a crash, NAME is the old file or the new one. Without commit() nothing
/// remains.
class PartialFile {
 public:
  explicit PartialFile(std::filesystem::path path);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  /// Where to write.
  const std::filesystem::path& path() const { return partial_; }
  /// Syncs what was written, by now closed, to disk and gives it its name. Throws SystemError.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path partial_;
  bool committed_ = false;
};

/// Gives a synced file another name, in whose place an old file goes, and syncs the folder. The
/// first name is gone then, also if both were names of one file. Throws SystemError.
void rename_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Writes a whole file that way. Throws SystemError that says what failed and what to do.
void replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace fedselect
