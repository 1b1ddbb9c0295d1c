#include "data/dataset_reader.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>

#include "base/error.hpp"
#include "data/formats/formats.hpp"

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

}  // namespace

void DatasetReader::read_groups(PartKind /*part*/, std::span<std::int32_t> /*groups*/) {
  throw std::logic_error("this format has no groups");
}

std::unique_ptr<DatasetReader> open_dataset(const DataConfig& config) {
  const fs::path path = config.path;
  const auto format = config.format == DataFormat::automatic ? recognise(path) : config.format;
  switch (format) {
    case DataFormat::idx: return formats::open_idx(path);
    case DataFormat::cifar10: return formats::open_cifar10(path);
    case DataFormat::cifar100: return formats::open_cifar100(path);
    case DataFormat::npy: return formats::open_npy(path);
    case DataFormat::automatic: break;
  }
  throw std::logic_error("unknown format of data sets");
}

}  // namespace fedselect
