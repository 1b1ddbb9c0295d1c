#pragma once

#include <filesystem>
#include <string>

#include "io/run_folder.hpp"

namespace fedselect {

/// Keeps other programs out of a folder, or from one file there, as long as it lives, by a lock on
/// the file `name` in it, which ends with the process however that ends. Where there can be no lock
/// it keeps nobody out, and `warning()` says so.
class RunLock {
 public:
  /// Throws InputError if another program has the lock.
  explicit RunLock(const std::filesystem::path& folder,
                   const std::string& name = run_folder::kLock);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// That it keeps nobody out, why, and what to do; empty: it does.
  std::string warning() const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::string problem_;
};

}  // namespace fedselect
