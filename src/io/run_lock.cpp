#include "io/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

RunLock::RunLock(const std::filesystem::path& folder, const std::string& name)
    : path_(folder / name),
      fd_(open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666)) {
  const auto reason = [] { return std::generic_category().message(errno); };
  if (fd_ < 0) {
    problem_ = reason();
    return;
  }
  const bool is_mine = flock(fd_, LOCK_EX | LOCK_NB) == 0;
  const bool is_held = !is_mine && errno == EWOULDBLOCK;
  if (!is_mine) problem_ = reason();
  // Without a name: of a program that is just about to end.
  struct stat status {};
  if (!is_held && fstat(fd_, &status) == 0 && status.st_nlink > 0) return;
  close(std::exchange(fd_, -1));
  throw InputError(
      fmt::format("{}: another program is at work on this run: wait until it is done, "
                  "or end it",
                  path_.string()));
}

RunLock::~RunLock() {
  if (fd_ < 0) return;
  unlink(path_.c_str());
  close(fd_);
}

std::string RunLock::warning() const {
  if (problem_.empty()) return {};
  return fmt::format(
      "warning: {}: can't be locked ({}): see that no other program works there meanwhile",
      path_.parent_path().string(), problem_);
}

}  // namespace fedselect
