#include "io/stored_models.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "base/error.hpp"
#include "files/hdf5_reader.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kByteBits = 8;
constexpr std::string_view kRunningMean = "running_mean";
constexpr const char* kClientModels = "/client_models/values";
constexpr const char* kMasks = "/masks/bits";
constexpr const char* kRemedy = "name the folder of a finished run of fedselect, or run it again";

/// A tensor as /layout tells of it.
struct Place {
  std::string name;
  hdf5::Shape shape;
  std::size_t size = 1;
};

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

/// "64,32,5,5"; none if it is anything else, or beyond any model.
std::optional<hdf5::Shape> parse_shape(std::string_view text) {
  constexpr hsize_t kMostValues = hsize_t{1} << 40;
  hdf5::Shape shape;
  hsize_t values = 1;
  for (const char *at = text.data(), *const end = at + text.size();;) {
    hsize_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc{} || extent == 0 || extent > kMostValues / values) return std::nullopt;
    values *= extent;
    shape.push_back(extent);
    if (next == end) return shape;
    if (*next != ',') return std::nullopt;
    at = next + 1;
  }
}

StoredTensor make_tensor(const Place& place, TensorView::Type type, const void* data,
                         std::size_t bytes) {
  StoredTensor tensor{place.name, {place.shape.begin(), place.shape.end()}, type, {}};
  tensor.bytes.resize(bytes);
  std::memcpy(tensor.bytes.data(), data, bytes);
  return tensor;
}

}  // namespace

struct StoredModels::Parts {
  hdf5::Reader file;
  std::vector<Place> parameters;
  std::vector<Place> statistics;
  std::size_t parameter_count = 0;  ///< d
  std::size_t value_count = 0;      ///< of parameters and statistics

  explicit Parts(const fs::path& path) : file(path, kRemedy) {
    const std::int64_t version = file.integer_attribute("version");
    if (version != kVersion)
      file.refuse("attribute version",
                  fmt::format("is {}, where this program reads {}", version, kVersion));
    parameters = read_places("/layout/name", "/layout/shape");
    if (file.exists("/layout/statistic_name"))
      statistics = read_places("/layout/statistic_name", "/layout/statistic_shape");
    std::set<std::string_view> names;
    for (const auto* places : {&parameters, &statistics})
      for (const Place& place : *places) {
        if (!names.insert(place.name).second)
          file.refuse("/layout/name", fmt::format("has {} twice", place.name));
        value_count += place.size;
        if (places == &parameters) parameter_count += place.size;
      }
  }

  std::vector<Place> read_places(const std::string& name_set, const std::string& shape_set) const {
    const auto names = file.read_texts(name_set);
    const auto shapes = file.read_texts(shape_set);
    if (names.size() != shapes.size())
      file.refuse(shape_set,
                  fmt::format("has {} entries for {} tensors", shapes.size(), names.size()));
    std::vector<Place> places;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto shape = parse_shape(shapes[i]);
      if (!shape) file.refuse(shape_set, fmt::format("has an impossible shape, number {}", i));
      Place place{names[i], *shape};
      for (const hsize_t extent : *shape) place.size *= extent;
      places.push_back(std::move(place));
    }
    return places;
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

  /// Adds the counts of batches that PyTorch's norm layers have beside their statistics.
  void add_batch_counts(std::vector<StoredTensor>& tensors) const {
    constexpr std::int64_t kNone = 0;
    for (const Place& place : statistics)
      if (place.name.ends_with(kRunningMean)) {
        Place count{place.name.substr(0, place.name.size() - kRunningMean.size()), {}};
        count.name += kBatchCount;
        tensors.push_back(make_tensor(count, TensorView::Type::int64, &kNone, sizeof(kNone)));
      }
  }
};

StoredModels::StoredModels(const fs::path& run)
    : parts_(std::make_unique<Parts>(find_result(run))) {}

StoredModels::~StoredModels() = default;

std::vector<StoredTensor> StoredModels::global_model() const {
  std::vector<StoredTensor> tensors;
  for (const auto* places : {&parts_->parameters, &parts_->statistics})
    for (const Place& place : *places) {
      const std::string name = "/model/" + place.name;
      if (parts_->file.shape(name) != place.shape)
        parts_->file.refuse(name, "is not of the shape that /layout says");
      const auto values = parts_->file.read<float>(name);
      tensors.push_back(make_tensor(place, TensorView::Type::float32, values.data(),
                                    values.size() * sizeof(float)));
    }
  parts_->add_batch_counts(tensors);
  return tensors;
}

std::vector<StoredTensor> StoredModels::client_model(std::int64_t client) const {
  parts_->require_kept(kClientModels, "models of clients", "output.client_models");
  const auto row = parts_->read_row<float>(kClientModels, client, parts_->value_count);
  std::vector<StoredTensor> tensors;
  const float* at = row.data();
  for (const auto* places : {&parts_->parameters, &parts_->statistics})
    for (const Place& place : *places) {
      tensors.push_back(
          make_tensor(place, TensorView::Type::float32, at, place.size * sizeof(float)));
      at += place.size;
    }
  parts_->add_batch_counts(tensors);
  return tensors;
}

std::vector<StoredTensor> StoredModels::mask(std::int64_t client) const {
  parts_->require_kept(kMasks, "masks", "output.masks");
  const std::size_t bytes = (parts_->parameter_count + kByteBits - 1) / kByteBits;
  const auto row = parts_->read_row<std::uint8_t>(kMasks, client, bytes);
  std::vector<StoredTensor> tensors;
  std::size_t at = 0;
  for (const Place& place : parts_->parameters) {
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
