#include "data/dataset_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "data/formats/formats.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// A format as "auto" knows it.
struct Format {
  DataFormat kind;
  bool (*fits)(const fs::path& path);
  std::string_view sign;  ///< what `fits` looks for, for messages
};

bool has(const fs::path& folder, const char* name) {
  std::error_code ignored;
  return fs::exists(folder / name, ignored);
}

bool has_leaf(const fs::path& folder) {
  std::error_code ignored;
  const fs::directory_iterator files(folder / "train", ignored);
  return std::any_of(begin(files), end(files),
                     [](const auto& file) { return file.path().extension() == ".json"; });
}

bool is_hdf5(const fs::path& path) {
  constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n");
  if (!irregularity(path).empty()) return false;
  std::string begin(kSignature.size(), ' ');
  std::ifstream(path, std::ios::binary)
      .read(begin.data(), static_cast<std::streamsize>(begin.size()));
  return begin == kSignature;
}

/// In this order: the first that fits is taken.
constexpr std::array kFormats{
    Format{DataFormat::idx,
           [](const fs::path& path) {
             return has(path, "train-images-idx3-ubyte") || has(path, "train-images-idx3-ubyte.gz");
           },
           "train-images-idx3-ubyte[.gz]"},
    Format{DataFormat::cifar10, [](const fs::path& path) { return has(path, "data_batch_1.bin"); },
           "data_batch_1.bin"},
    Format{DataFormat::cifar100, [](const fs::path& path) { return has(path, "train.bin"); },
           "train.bin"},
    Format{DataFormat::npy, [](const fs::path& path) { return has(path, "train_images.npy"); },
           "train_images.npy"},
    Format{DataFormat::tff_hdf5,
           [](const fs::path& path) { return !formats::find_tff(path, "train").empty(); },
           "*_train.h5"},
    Format{DataFormat::leaf, has_leaf, "train/*.json"},
    Format{DataFormat::hdf5, is_hdf5, "a file that is HDF5"},
    Format{DataFormat::images, formats::has_images, "images in folders"},
};

DataFormat recognise(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path, code))
    throw InputError(fmt::format(
        "{} is missing ({}): install Debian's package dataset-fashion-mnist, or set data.path to "
        "the folder or file of a data set",
        path.string(), code ? code.message() : "there is no such folder or file"));
  std::string signs;
  for (const auto& format : kFormats) {
    if (format.fits(path)) return format.kind;
    signs += fmt::format("{}{} ({})", signs.empty() ? "" : ", ", format.sign,
                         kFormatNames[static_cast<std::size_t>(format.kind)]);
  }
  throw InputError(fmt::format(
      "{} is no data set of a known format (looked for {}): set data.path to a data set, or "
      "data.format to its format (docs/data.md)",
      path.string(), signs));
}

std::unique_ptr<DatasetReader> open_files(const DataConfig& config, DataFormat format) {
  const fs::path path = config.path;
  switch (format) {
    case DataFormat::idx: return formats::open_idx(path);
    case DataFormat::cifar10: return formats::open_cifar10(path);
    case DataFormat::cifar100: return formats::open_cifar100(path);
    case DataFormat::npy: return formats::open_npy(path);
    case DataFormat::tff_hdf5: return formats::open_tff(path);
    case DataFormat::leaf: return formats::open_leaf(path);
    case DataFormat::images:
      return formats::open_images(path, static_cast<int>(config.image_size), config.test_fraction);
    case DataFormat::hdf5: return formats::open_plain(path);
    case DataFormat::automatic: break;
  }
  throw std::logic_error("unknown format of data sets");
}

}  // namespace

void DatasetReader::read_groups(PartKind /*part*/, std::span<std::int32_t> /*groups*/) {
  throw std::logic_error("this format has no groups");
}

std::unique_ptr<DatasetReader> open_dataset(const DataConfig& config) {
  const auto format =
      config.format == DataFormat::automatic ? recognise(config.path) : config.format;
  if (config.image_size > 0 && format != DataFormat::images)
    throw KeyError("data.image_size",
                   fmt::format("data.image_size means something for folders of images only, {} has "
                               "the format {}: remove "
                               "it, or set data.path to another",
                               config.path, kFormatNames[static_cast<std::size_t>(format)]));
  auto reader = open_files(config, format);
  if (config.test_images.empty()) return reader;
  return formats::replace_test_images(std::move(reader), config.test_images,
                                      static_cast<std::size_t>(config.test_severity));
}

}  // namespace fedselect
