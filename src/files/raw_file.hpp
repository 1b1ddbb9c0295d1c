#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

namespace fedselect {

/// An open file without buffers of its own. Failing calls throw SystemError that names the file,
/// what failed and what to do; so does a link, or anything else that is no regular file, in the
/// place of a file to be written. In the place of one to be read that is an InputError.
class RawFile {
 public:
  enum class Mode {
    create,  ///< to write, empty
    append,  ///< to write behind what is there
    change,  ///< to write into what is there
    read,
  };
  RawFile(std::filesystem::path path, Mode mode);
  /// A new file in a folder, to write and read, that nobody else can open: it has no name, and goes
  /// with this object.
  static RawFile nameless(const std::filesystem::path& folder);
  ~RawFile();
  RawFile(RawFile&& other) noexcept;
  RawFile& operator=(RawFile&& other) noexcept;

  /// Behind what was written last.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Behind the end of the file: all of it or, if that fails, nothing.
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text) { append(std::as_bytes(std::span(text))); }
  /// At a position, which need not exist yet.
  void write_at(std::uint64_t position, std::span<const std::byte> bytes);
  /// The bytes at a position; throws SystemError too if the file ends before them.
  void read_at(std::uint64_t position, std::span<std::byte> bytes);
  /// Has the system read these bytes ahead; a hint.
  void expect_soon(std::uint64_t position, std::uint64_t size) const;
  std::uint64_t size() const;
  /// Makes the file end at `size`.
  void cut(std::uint64_t size);
  /// Returns when the disk has all.
  void sync();
  /// Reports what the destructor can't.
  void close();

 private:
  RawFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  [[noreturn]] void fail(const char* verb) const;

  std::filesystem::path path_;
  int fd_ = -1;
};

/// Returns when the disk knows the names in a folder.
void sync_folder(const std::filesystem::path& folder);

}  // namespace fedselect
