#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/formats/binary_file.hpp"

namespace fedselect {

/// One array in NumPy's .npy format, versions 1 to 3, in C order.
///
/// Source: numpy.lib.format. Every failure is an InputError that names the file, what is wrong and
/// what to do; a shape that the file's bytes don't fill is refused when it is opened.
class NpyFile {
 public:
  explicit NpyFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<std::size_t>& shape() const { return shape_; }
  /// NumPy's code: "|u1", "<i8".
  const std::string& type() const { return type_; }

  /// Fills `values` from the value `first` on. Only where type() is "|u1".
  void read_bytes(std::size_t first, std::span<std::byte> values);
  /// Fills `values` with all values. Any whole-number type; refuses what 32 bits can't hold.
  void read_integers(std::span<std::int32_t> values);
  [[noreturn]] void refuse(std::string_view problem, std::string_view why) const {
    file_.refuse(problem, why);
  }

 private:
  void parse(std::string_view header);

  BinaryFile file_;
  std::uint64_t begin_ = 0;  ///< of the values
  std::string type_;
  std::size_t value_bytes_ = 0;
  std::vector<std::size_t> shape_;
};

}  // namespace fedselect
