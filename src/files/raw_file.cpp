#include "files/raw_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

int flags_of(RawFile::Mode mode) {
  switch (mode) {
    case RawFile::Mode::create: return O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW;
    case RawFile::Mode::append: return O_WRONLY | O_APPEND | O_NOFOLLOW;
    case RawFile::Mode::change: return O_RDWR | O_NOFOLLOW;
    case RawFile::Mode::read: break;
  }
  return O_RDONLY;
}

/// Before it is opened: that alone could wait for ever.
const fs::path& checked(const fs::path& path, RawFile::Mode mode) {
  if (mode == RawFile::Mode::read)
    require_regular_file(path);
  else if (const std::string what = irregularity(path); !what.empty())
    throw SystemError(fmt::format("{}: {}: remove it", path.string(), what));
  return path;
}

[[noreturn]] void fail_at(const fs::path& path, const char* verb) {
  const std::string why = std::generic_category().message(errno);
  throw SystemError(
      fmt::format("{}: cannot {} it ({}): free space there, or write to another folder",
                  path.string(), verb, why));
}

// Some file systems have no sync for folders; there a rename is as safe as they make it.
bool is_synced(int fd) { return fsync(fd) == 0 || errno == EINVAL; }

}  // namespace

RawFile::RawFile(fs::path path, Mode mode)
    : path_(std::move(path)),
      fd_(open(checked(path_, mode).c_str(), flags_of(mode) | O_CLOEXEC, 0666)) {
  if (fd_ < 0) fail(mode == Mode::create ? "create" : "open");
}

RawFile RawFile::nameless(const fs::path& folder) {
  std::string name = (folder / "fedselect-XXXXXX").string();
  const int fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail_at(folder / "fedselect-...", "create");
  RawFile file(name, fd);
  if (unlink(name.c_str()) != 0) file.fail("remove the name of");
  return file;
}

RawFile::~RawFile() {
  if (fd_ >= 0) ::close(fd_);
}

RawFile::RawFile(RawFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

RawFile& RawFile::operator=(RawFile&& other) noexcept {
  if (fd_ >= 0) ::close(fd_);
  path_ = std::move(other.path_);
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

void RawFile::fail(const char* verb) const { fail_at(path_, verb); }

void RawFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void RawFile::write_at(std::uint64_t position, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    position += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void RawFile::append(std::span<const std::byte> bytes) {
  const std::uint64_t end = size();
  try {
    write_at(end, bytes);
  } catch (const SystemError&) {
    cut(end);
    throw;
  }
}

void RawFile::read_at(std::uint64_t position, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = EIO;
    if (got <= 0) fail("read");
    position += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

void RawFile::expect_soon(std::uint64_t position, std::uint64_t size) const {
  posix_fadvise(fd_, static_cast<off_t>(position), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
}

std::uint64_t RawFile::size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) fail("look at");
  return static_cast<std::uint64_t>(status.st_size);
}

void RawFile::cut(std::uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) != 0) fail("cut");
}

void RawFile::sync() {
  if (!is_synced(fd_)) fail("sync");
}

void RawFile::close() {
  if (::close(std::exchange(fd_, -1)) != 0) fail("close");
}

void sync_folder(const fs::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_at(folder, "open");
  const bool synced = is_synced(fd);
  ::close(fd);
  if (!synced) fail_at(folder, "sync");
}

}  // namespace fedselect
