#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "files/hdf5.hpp"

namespace fedselect::hdf5 {

/// An HDF5 file that somebody hands us, open for reading.
///
/// Names are paths from the root: "/metrics/loss". Every failure is an InputError that names the
/// file, the data set, what is wrong and the remedy. Nothing is trusted: no more memory is taken
/// than the file's bytes can fill, and links or data that point out of the file are refused.
class Reader {
 public:
  /// `remedy`: what the user should do about a file that can't be used, as the end of a message:
  /// "run the experiment again".
  Reader(std::filesystem::path path, std::string remedy);

  const std::filesystem::path& path() const { return path_; }

  /// Whether there is a data set or group of that name.
  bool exists(const std::string& name) const;
  /// Extents of a data set; empty for a single value.
  Shape shape(const std::string& name) const;
  /// Names in a group, without its own, ascending.
  std::vector<std::string> children(const std::string& group) const;

  /// All values of a data set, the last axis fastest, converted to T. Refuses what is not a number,
  /// fractions where T is an integer, and values that T can't hold.
  template <class T>
  std::vector<T> read(const std::string& name) const {
    const OpenData data = open_numbers(name, std::is_integral_v<T>);
    return read_open<T>(data, 0, data.rows());
  }
  /// The same for positions [first, first + rows) of the first axis.
  template <class T>
  std::vector<T> read_rows(const std::string& name, hsize_t first, hsize_t rows) const {
    return read_open<T>(open_numbers(name, std::is_integral_v<T>), first, rows);
  }
  /// A data set of texts, one axis or a single one. Those of variable length must be stored in one
  /// piece, as all programs do unless asked.
  std::vector<std::string> read_texts(const std::string& name) const;
  /// A single text.
  std::string read_text(const std::string& name) const;

  // Attributes of the root. What an attribute's text of variable length says of its place is
  // believed by the library: ask for a data set's text where a file may be hostile.
  bool has_attribute(const std::string& name) const;
  std::string text_attribute(const std::string& name) const;
  std::int64_t integer_attribute(const std::string& name) const;

  /// Throws InputError about what `name` holds: "FILE: NAME what: remedy". For checks that only the
  /// caller can make.
  [[noreturn]] void refuse(const std::string& name, std::string_view what) const;

 private:
  struct OpenData {
    std::string name;
    Handle dataset;
    Handle type;  ///< as stored
    Handle space;
    Shape shape;

    hsize_t rows() const { return shape.empty() ? 1 : shape.front(); }
  };
  struct OpenAttribute {
    std::string title;  ///< for messages
    Handle attribute;
    Handle type;  ///< as stored
    Handle space;
  };

  /// The result of a call on `name`; what the library says becomes the message.
  template <class Result>
  Result check(Result result, const std::string& name) const {
    if (result < 0) fail(name);
    return result;
  }
  [[noreturn]] void fail(const std::string& name) const;

  /// The name in full if every step of it is an ordinary link; empty if one is missing.
  std::string find(const std::string& name) const;
  OpenData open_data(const std::string& name) const;
  OpenData open_numbers(const std::string& name, bool integers) const;
  OpenAttribute open_attribute(const std::string& name) const;
  /// Refuses what the bytes of the file can't fill.
  void check_storage(const OpenData& data) const;
  template <class T>
  std::vector<T> read_open(const OpenData& data, hsize_t first, hsize_t rows) const {
    std::vector<T> values(checked_count(data, first, rows, sizeof(T)));
    read_values(data, first, rows, Type<T>::get().memory, values.data());
    return values;
  }
  std::size_t checked_count(const OpenData& data, hsize_t first, hsize_t rows,
                            std::size_t value_bytes) const;
  void read_values(const OpenData& data, hsize_t first, hsize_t rows, hid_t memory_type,
                   void* values) const;
  std::vector<std::string> read_heap_texts(const OpenData& data) const;
  std::vector<std::string> read_fixed_texts(const OpenData& data) const;

  std::filesystem::path path_;
  std::string remedy_;
  std::uint64_t file_bytes_ = 0;
  std::unique_ptr<int> read_error_ = std::make_unique<int>(0);  ///< errno of the first failing read
  Handle file_;
};

}  // namespace fedselect::hdf5
