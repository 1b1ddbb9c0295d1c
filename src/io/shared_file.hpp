#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "files/atomic_file.hpp"
#include "files/hdf5.hpp"
#include "files/raw_file.hpp"

namespace fedselect {

/// An HDF5 file that all ranks write at once: the root lays it out, then every rank writes its rows
/// of each data set straight to their places in the file, which must be one that all ranks see.
/// The rows of a data set stand in rank order. The file takes its name when all ranks are done.
class SharedFile {
 public:
  SharedFile(std::filesystem::path path, Communicator& comm);

  /// One of the data sets that the ranks fill together.
  class Rows {
   public:
    /// Appends values to this rank's rows.
    template <class T>
    void append(std::span<const T> values) {
      append_bytes(std::as_bytes(values));
    }
    template <class T>
    void append(const std::vector<T>& values) {
      append(std::span<const T>(values));
    }
    template <class T>
    void append_value(const T& value) {
      append(std::span<const T>(&value, 1));
    }
    /// Number of this rank's first row.
    std::int64_t first() const { return first_; }

   private:
    friend class SharedFile;
    void append_bytes(std::span<const std::byte> bytes);
    void flush();

    std::function<std::uint64_t(hdf5::File&, hsize_t)> reserve_;  ///< by the number of all rows
    std::int64_t mine_ = 0;
    std::int64_t first_ = 0;
    std::uint64_t row_bytes_ = 0;
    std::uint64_t place_ = 0;  ///< where in the file the next bytes go
    std::vector<std::byte> pending_;
    RawFile* file_ = nullptr;
  };

  /// Declares a data set to which this rank brings `rows` rows of `width` values, 0 for single
  /// values. All ranks declare the same ones in the same order. Valid as long as this object.
  template <class T>
  Rows& declare(const std::string& name, std::int64_t rows, std::size_t width = 0) {
    return declare_rows(
        rows, (width == 0 ? 1 : width) * sizeof(T), [name, width](hdf5::File& file, hsize_t all) {
          return file.reserve<T>(name, width == 0 ? hdf5::Shape{all} : hdf5::Shape{all, width});
        });
  }
  /// Collective: lays the file out. `write_own` runs on the root: what else stands in the file.
  void open(const std::function<void(hdf5::File&)>& write_own);
  /// Collective, after each rank has appended all its rows: all is on disk.
  void seal();
  /// Collective, of a sealed file: digest_of_file(), in which all ranks share.
  std::string digest() const;
  /// Collective: a sealed file takes its name. `before`: a name that a file in that place takes
  /// first; empty: it goes.
  void commit(const std::filesystem::path& before);

 private:
  Rows& declare_rows(std::int64_t rows, std::size_t row_bytes,
                     std::function<std::uint64_t(hdf5::File&, hsize_t)> reserve);

  /// As PartialFile has it on the root.
  std::filesystem::path partial_path() const;

  std::filesystem::path path_;
  Communicator& comm_;
  std::optional<PartialFile> partial_;  ///< on the root
  std::vector<std::unique_ptr<Rows>> rows_;
  std::optional<RawFile> raw_;
};

}  // namespace fedselect
