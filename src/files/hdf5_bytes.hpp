#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fedselect::hdf5 {

// HDF5 files as bytes. Everything here throws std::runtime_error that says what is wrong.

inline constexpr std::uint64_t kUndefinedAddress = ~std::uint64_t{0};
/// What is wrong with a part that is none of those that we read.
inline constexpr const char* kUnknownForm =
    "it is of a form that this program doesn't read: write it with libver=\"earliest\" in h5py, or "
    "by h5repack";

/// The bytes of a file. Addresses count from its superblock, as those in it do.
class FileBytes {
 public:
  explicit FileBytes(const std::filesystem::path& path);
  ~FileBytes();
  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&& other) noexcept;

  /// Bytes from the superblock on.
  std::uint64_t size() const { return size_ - base_; }
  /// Says where the superblock stands.
  void set_base(std::uint64_t base) { base_ = base; }
  void read(std::uint64_t address, std::span<std::byte> bytes) const;
  std::string read(std::uint64_t address, std::uint64_t count) const;

 private:
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t base_ = 0;
};

/// How many bytes one walk through a file may visit: as many as it has, since no two parts of what
/// it looks for overlap. So no loop of references lasts for ever, and nothing grows by repetition.
class Budget {
 public:
  explicit Budget(const FileBytes& file) : left_(file.size()) {}
  void spend(std::uint64_t bytes) {
    if (bytes > left_) throw std::runtime_error("parts of it overlap");
    left_ -= bytes;
  }

 private:
  std::uint64_t left_;
};

/// Takes little-endian numbers from the front of bytes, which must outlive it.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : left_(bytes) {}

  std::size_t left() const { return left_.size(); }
  std::string_view take(std::size_t count) {
    if (count > left_.size()) throw std::runtime_error("a part of it is cut off");
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  void skip(std::size_t count) { take(count); }
  template <class T>
  T number() {
    static_assert(std::endian::native == std::endian::little);
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  /// An address or a length.
  std::uint64_t word() { return number<std::uint64_t>(); }
  /// A number of `bytes` bytes, at most 8.
  std::uint64_t number_of(std::size_t bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, take(bytes).data(), bytes);
    return value;
  }
  /// Throws unless these bytes come next.
  void expect(std::string_view signature) {
    if (left_.substr(0, signature.size()) != signature)
      throw std::runtime_error("a part of it is not where it is said to be");
    skip(signature.size());
  }

 private:
  std::string_view left_;
};

}  // namespace fedselect::hdf5
