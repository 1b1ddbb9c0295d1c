#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/hdf5.hpp"

namespace fedselect::hdf5 {

struct Attribute;

/// An HDF5 file that somebody hands us, open for reading.
///
/// Names are paths from the root: "/metrics/loss". Every failure is an InputError that names the
/// file, the data set, what is wrong and the remedy. Nothing is trusted: no more memory is taken
/// than the file's bytes can fill, and links or data that point out of the file are refused. The
/// HDF5 library has no part in it: it believes what files say, and ends the program with some that
/// lie (decision 17, which also says what it could read and this can't).
class Reader {
 public:
  /// `remedy`: what the user should do about a file that can't be used, as the end of a message:
  /// "run the experiment again".
  Reader(std::filesystem::path path, std::string remedy);
  ~Reader();
  Reader(Reader&& other) noexcept;
  Reader& operator=(Reader&& other) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Whether there is a data set or group of that name.
  bool exists(const std::string& name) const;
  /// Extents of a data set; empty for a single value.
  Shape shape(const std::string& name) const;
  /// The first of them; refuses a single value.
  hsize_t rows(const std::string& name) const;
  /// Names in a group, without its own, ascending.
  std::vector<std::string> children(const std::string& group) const;

  /// All values of a data set, the last axis fastest, converted to T. Refuses what is not a number,
  /// fractions where T is an integer, and values that T can't hold.
  template <class T>
  std::vector<T> read(const std::string& name) const {
    return read_open<T>(name, 0, kAllRows);
  }
  /// The same for positions [first, first + rows) of the first axis.
  template <class T>
  std::vector<T> read_rows(const std::string& name, hsize_t first, hsize_t rows) const {
    return read_open<T>(name, first, rows);
  }
  /// A data set of texts, one axis or a single one.
  std::vector<std::string> read_texts(const std::string& name) const;
  /// A single text.
  std::string read_text(const std::string& name) const;

  // Attributes of the root.
  bool has_attribute(const std::string& name) const;
  std::string text_attribute(const std::string& name) const;
  std::int64_t integer_attribute(const std::string& name) const;

  /// Throws InputError about what `name` holds: "FILE: NAME what: remedy". For checks that only the
  /// caller can make.
  [[noreturn]] void refuse(const std::string& name, std::string_view what) const;

 private:
  struct Parts;
  struct Node;
  static constexpr hsize_t kAllRows = ~hsize_t{0};

  /// Runs `action` on `name`; what std::runtime_error it throws becomes our message.
  template <class Action>
  auto guarded(const std::string& name, const Action& action) const;
  /// What stands at a name if every step to it is an ordinary link; null if one is missing.
  Node* find(const std::string& name) const;
  const Node& open_data(const std::string& name) const;
  const Node& open_numbers(const std::string& name, bool integers) const;
  /// Refuses what the bytes of the file can't fill.
  void check_storage(const std::string& name, const Node& node) const;
  std::optional<Attribute> find_attribute(const std::string& name) const;
  /// Refuses one that is missing or holds other than one value.
  Attribute single_attribute(const std::string& name) const;
  template <class T>
  std::vector<T> read_open(const std::string& name, hsize_t first, hsize_t rows) const;

  std::filesystem::path path_;
  std::string remedy_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace fedselect::hdf5
