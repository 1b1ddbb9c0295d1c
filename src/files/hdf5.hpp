#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// What this project needs of HDF5: files written once, by one process. Reading: hdf5_reader.hpp.
namespace fedselect::hdf5 {

/// An HDF5 identifier of any kind, released with this object.
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    reset();
    id_ = std::exchange(other.id_, H5I_INVALID_HID);
    return *this;
  }

  hid_t get() const { return id_; }
  hid_t release() { return std::exchange(id_, H5I_INVALID_HID); }

 private:
  void reset() {
    if (id_ >= 0) H5Idec_ref(id_);
    id_ = H5I_INVALID_HID;
  }

  hid_t id_ = H5I_INVALID_HID;
};

using Shape = std::vector<hsize_t>;

/// Makes the library keep its messages to itself: they go into ours.
void silence_errors();
/// What the library says about the innermost call that failed.
std::string last_error();

/// How T stands in memory, and in files: little-endian everywhere.
template <class T>
struct Type {
  hid_t memory;
  hid_t file;

  static Type get() {
    if constexpr (std::is_same_v<T, std::uint8_t>) return {H5T_NATIVE_UINT8, H5T_STD_U8LE};
    if constexpr (std::is_same_v<T, std::int32_t>) return {H5T_NATIVE_INT32, H5T_STD_I32LE};
    if constexpr (std::is_same_v<T, std::int64_t>) return {H5T_NATIVE_INT64, H5T_STD_I64LE};
    if constexpr (std::is_same_v<T, std::uint64_t>) return {H5T_NATIVE_UINT64, H5T_STD_U64LE};
    if constexpr (std::is_same_v<T, float>) return {H5T_NATIVE_FLOAT, H5T_IEEE_F32LE};
    if constexpr (std::is_same_v<T, double>) return {H5T_NATIVE_DOUBLE, H5T_IEEE_F64LE};
  }
};

/// Whether a data set's values are worth compressing.
enum class Storage { plain, deflated };

class RowWriter;

/// A new HDF5 file. The same calls give the same bytes: nothing in it depends on time or memory.
///
/// Groups on the way to a data set ("/metrics/loss") are made. Every failing call throws
/// SystemError with the file, the call and the library's reason.
class File {
 public:
  /// Replaces what is at `path`.
  explicit File(std::filesystem::path path);

  void set_attribute(const char* name, std::string_view text);
  void set_attribute(const char* name, std::int64_t value);
  void set_attribute(const char* name, double value);

  void write_text(const std::string& name, std::string_view text);
  void write_texts(const std::string& name, const std::vector<std::string>& texts);
  template <class T>
  void write(const std::string& name, const Shape& shape, std::span<const T> values,
             Storage storage) {
    const auto type = Type<T>::get();
    write_values(name, shape, type.file, type.memory, values.data(), storage);
  }
  template <class T>
  void write(const std::string& name, const std::vector<T>& values) {
    write(name, {values.size()}, std::span<const T>(values), Storage::deflated);
  }

  /// A data set whose values others write into the file once it is closed, little-endian, the last
  /// axis fastest. Returns where in the file they begin; 0 if there are none.
  template <class T>
  std::uint64_t reserve(const std::string& name, const Shape& shape) {
    return reserve_values(name, shape, Type<T>::get().file);
  }

  /// Writes what the library still holds back and closes the file. Call it: a destructor can't
  /// report.
  void close();

 private:
  friend class RowWriter;

  /// The result of a call if it and all writes so far succeeded.
  template <class Result>
  Result check(Result result, const char* call) const {
    if (result < 0 || *write_error_ != 0) fail(call);
    return result;
  }
  [[noreturn]] void fail(const char* call) const;
  Handle make_space(const Shape& shape) const;
  Handle make_text_type() const;
  void write_attribute(const char* name, hid_t file_type, hid_t memory_type, const void* value);
  Handle make_dataset(const std::string& name, const Shape& shape, hid_t file_type,
                      const Shape& chunk, std::size_t value_bytes, bool is_reserved = false) const;
  std::uint64_t reserve_values(const std::string& name, const Shape& shape, hid_t file_type) const;
  void write_values(const std::string& name, const Shape& shape, hid_t file_type, hid_t memory_type,
                    const void* values, Storage storage);

  std::filesystem::path path_;
  std::unique_ptr<int> write_error_ =
      std::make_unique<int>(0);  ///< errno of the first failing write
  Handle file_;
};

/// Fills a data set row by row, so that no more than one chunk is ever in memory. Compressed where
/// it is large enough.
class RowWriter {
 public:
  /// Rows of shape[1:] values each; append() must be called shape[0] times. `file` must outlive
  /// this object.
  template <class T>
  static RowWriter of(File& file, const std::string& name, Shape shape) {
    const auto type = Type<T>::get();
    return {file, name, std::move(shape), type.file, type.memory, sizeof(T)};
  }

  template <class T>
  void append(std::span<const T> row) {
    append_bytes(std::as_bytes(row));
  }

 private:
  RowWriter(File& file, const std::string& name, Shape shape, hid_t file_type, hid_t memory_type,
            std::size_t value_bytes);
  void append_bytes(std::span<const std::byte> row);
  void write_chunk();

  File* file_;
  Shape shape_;
  hid_t memory_type_;
  std::size_t row_bytes_;
  hsize_t rows_per_chunk_;
  hsize_t written_ = 0;
  std::vector<std::byte> pending_;
  Handle dataset_;
};

}  // namespace fedselect::hdf5
