#pragma once

#include <filesystem>
#include <string>

namespace fedselect {

/// Keeps other programs out of a run's folder as long as it lives, by a lock on the file `lock` in
/// it, which ends with the process however that ends. Where there can be no lock it keeps nobody
/// out, and `problem()` says why.
class RunLock {
 public:
  /// Throws InputError if another program has the lock.
  explicit RunLock(const std::filesystem::path& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Why it keeps nobody out; empty: it does.
  const std::string& problem() const { return problem_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::string problem_;
};

}  // namespace fedselect
