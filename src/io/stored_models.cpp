#include "io/stored_models.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/bits.hpp"
#include "base/error.hpp"
#include "files/hdf5_reader.hpp"
#include "io/checkpoint.hpp"
#include "io/run_folder.hpp"
#include "io/stored_layout.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kRunningMean = "running_mean";
constexpr const char* kClientModels = "/client_models/values";
constexpr const char* kMasks = "/masks/bits";
constexpr const char* kRemedy = "name the folder of a finished run of fedselect, or run it again";

/// The folders in `run` that hold results, for a message; empty if there are none.
std::string runs_within(const fs::path& run) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run, error))
    if (fs::exists(entry.path() / "result.h5", error)) names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

fs::path find_result(const fs::path& run) {
  fs::path path = run / "result.h5";
  std::error_code error;
  if (fs::exists(path, error)) return path;
  if (const auto within = runs_within(run); !within.empty())
    throw InputError(fmt::format("{}: has no result.h5, these in it have: {}: name one of them",
                                 run.string(), within));
  if (fs::exists(run / "config.toml", error))
    throw InputError(fmt::format(
        "{}: this run has no result.h5, so it did not finish: run it again", run.string()));
  throw InputError(
      fmt::format("{}: holds no run: name a run's folder, such as runs/NAME or "
                  "runs/NAME/LABEL",
                  run.string()));
}

StoredTensor make_tensor(const StoredPlace& place, TensorView::Type type, const void* data,
                         std::size_t bytes) {
  StoredTensor tensor{place.name, {place.shape.begin(), place.shape.end()}, type, {}};
  tensor.bytes.resize(bytes);
  std::memcpy(tensor.bytes.data(), data, bytes);
  return tensor;
}

/// The tensors of a packed model; with each norm layer's statistics the count of batches that
/// PyTorch has beside them.
std::vector<StoredTensor> make_tensors(const StoredLayout& layout, std::span<const float> values) {
  constexpr std::int64_t kNone = 0;
  std::vector<StoredTensor> tensors;
  const float* at = values.data();
  for (const auto* places : {&layout.parameters, &layout.statistics})
    for (const StoredPlace& place : *places) {
      tensors.push_back(
          make_tensor(place, TensorView::Type::float32, at, place.size * sizeof(float)));
      at += place.size;
    }
  for (const StoredPlace& place : layout.statistics)
    if (place.name.ends_with(kRunningMean)) {
      StoredPlace count{place.name.substr(0, place.name.size() - kRunningMean.size()), {}};
      count.name += kBatchCount;
      tensors.push_back(make_tensor(count, TensorView::Type::int64, &kNone, sizeof(kNone)));
    }
  return tensors;
}

}  // namespace

struct StoredModels::Parts {
  hdf5::Reader file;
  StoredLayout layout;
  std::size_t parameter_count;  ///< d
  std::size_t value_count;      ///< of parameters and statistics

  explicit Parts(const fs::path& path)
      : file(path, kRemedy),
        layout(read_layout(file)),
        parameter_count(count_values(layout.parameters)),
        value_count(parameter_count + count_values(layout.statistics)) {
    const std::int64_t version = file.integer_attribute("version");
    if (version != kVersion)
      file.refuse("attribute version",
                  fmt::format("is {}, where this program reads {}", version, kVersion));
  }

  /// Row `client` of a data set with so many values a client.
  template <class T>
  std::vector<T> read_row(const char* name, std::int64_t client, std::size_t values) const {
    const hdf5::Shape shape = file.shape(name);
    if (shape.size() != 2 || shape[1] != values)
      file.refuse(name, fmt::format("has the shape ({}), not (clients, {})", fmt::join(shape, ", "),
                                    values));
    if (client < 0 || static_cast<hsize_t>(client) >= shape[0])
      throw InputError(fmt::format("{}: there is no client {}: this run's are 0 to {}",
                                   file.path().string(), client, shape[0] - 1));
    return file.read_rows<T>(name, static_cast<hsize_t>(client), 1);
  }

  /// Refuses a data set that the run was told not to keep.
  void require_kept(const char* name, std::string_view what, std::string_view key) const {
    if (!file.exists(name))
      throw InputError(fmt::format("{}: holds no {}: run it again with --set {}=true",
                                   file.path().string(), what, key));
  }
};

StoredModels::StoredModels(const fs::path& run)
    : parts_(std::make_unique<Parts>(find_result(run))) {}

StoredModels::~StoredModels() = default;

std::vector<StoredTensor> StoredModels::global_model() const {
  return make_tensors(parts_->layout, read_result_model(parts_->file, parts_->layout));
}

std::vector<StoredTensor> StoredModels::client_model(std::int64_t client) const {
  parts_->require_kept(kClientModels, "models of clients", "output.client_models");
  return make_tensors(parts_->layout,
                      parts_->read_row<float>(kClientModels, client, parts_->value_count));
}

std::vector<StoredTensor> kept_global_model(const fs::path& run, int rounds) {
  const fs::path version = run_folder::find_version(run, rounds);
  require_rounds(version, Checkpoint(version).header(), rounds);
  const hdf5::Reader file(version, kRemedy);
  const StoredLayout layout = read_layout(file);
  return make_tensors(layout, read_packed_model(file, layout));
}

std::vector<StoredTensor> StoredModels::mask(std::int64_t client) const {
  parts_->require_kept(kMasks, "masks", "output.masks");
  const std::size_t bytes = bytes_for(parts_->parameter_count);
  const auto row = parts_->read_row<std::uint8_t>(kMasks, client, bytes);
  std::vector<StoredTensor> tensors;
  std::size_t at = 0;
  for (const StoredPlace& place : parts_->layout.parameters) {
    std::vector<std::uint8_t> bits(place.size);
    for (auto& bit : bits) {
      bit = (row[at / kByteBits] >> (at % kByteBits)) & 1;
      ++at;
    }
    tensors.push_back(make_tensor(place, TensorView::Type::uint8, bits.data(), bits.size()));
  }
  return tensors;
}

}  // namespace fedselect
