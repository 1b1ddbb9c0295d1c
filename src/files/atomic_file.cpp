#include "files/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const char* verb) {
  const std::string why = std::generic_category().message(errno);
  throw SystemError(
      fmt::format("{}: cannot {} it ({}): free space there, or write to another folder",
                  path.string(), verb, why));
}

class FileDescriptor {
 public:
  FileDescriptor(const fs::path& path, int flags, const char* verb)
      : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (fd_ < 0) fail(path_, verb);
  }
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail(path_, "write");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void sync() {
    // Some file systems have no sync for folders; there the rename is as safe as they make it.
    if (fsync(fd_) != 0 && errno != EINVAL) fail(path_, "sync");
  }
  void close() {
    const int fd = fd_;
    fd_ = -1;
    if (::close(fd) != 0) fail(path_, "close");
  }

 private:
  fs::path path_;
  int fd_;
};

}  // namespace

PartialFile::PartialFile(fs::path path) : path_(std::move(path)), partial_(path_) {
  partial_ += ".partial";
}

PartialFile::~PartialFile() {
  std::error_code ignored;
  if (!committed_) fs::remove(partial_, ignored);
}

void PartialFile::commit() {
  FileDescriptor file(partial_, O_RDONLY, "open");
  file.sync();
  file.close();
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) fail(path_, "replace");
  committed_ = true;
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  FileDescriptor(folder, O_RDONLY | O_DIRECTORY, "open").sync();
}

void replace_file(const fs::path& path, std::string_view text) {
  PartialFile partial(path);
  FileDescriptor file(partial.path(), O_WRONLY | O_CREAT | O_TRUNC, "create");
  file.write(text);
  file.close();
  partial.commit();
}

}  // namespace fedselect
