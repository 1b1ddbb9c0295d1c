#pragma once

#include <filesystem>

namespace fedselect {

/// Keeps other programs out of a run's folder as long as it lives, by a lock on the file `lock` in
/// it, which ends with the process however that ends. Where the file system knows no locks it keeps
/// nobody out.
class RunLock {
 public:
  /// Throws InputError if another program has the lock.
  explicit RunLock(const std::filesystem::path& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace fedselect
