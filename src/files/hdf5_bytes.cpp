#include "files/hdf5_bytes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace fedselect::hdf5 {

namespace {

[[noreturn]] void fail() { throw std::runtime_error(std::generic_category().message(errno)); }

}  // namespace

FileBytes::FileBytes(const std::filesystem::path& path)
    : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat status {};
  if (fd_ < 0 || fstat(fd_, &status) != 0) fail();
  size_ = static_cast<std::uint64_t>(status.st_size);
}

FileBytes::~FileBytes() {
  if (fd_ >= 0) close(fd_);
}

FileBytes::FileBytes(FileBytes&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(other.size_), base_(other.base_) {}

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  std::swap(fd_, other.fd_);
  size_ = other.size_;
  base_ = other.base_;
  return *this;
}

void FileBytes::read(std::uint64_t address, std::span<std::byte> bytes) const {
  if (address > size() || bytes.size() > size() - address)
    throw std::runtime_error("it ends before what it says that it holds");
  std::uint64_t at = base_ + address;
  while (!bytes.empty()) {
    const ssize_t got = pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail();
    if (got == 0) throw std::runtime_error("it became shorter");
    at += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

std::string FileBytes::read(std::uint64_t address, std::uint64_t count) const {
  if (count > size()) throw std::runtime_error("it ends before what it says that it holds");
  std::string bytes(count, '\0');
  read(address, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

}  // namespace fedselect::hdf5
