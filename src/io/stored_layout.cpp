#include "io/stored_layout.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "fed/packing.hpp"
#include "files/hdf5.hpp"

namespace fedselect {

namespace {

/// "64,32,5,5"; none if it is anything else, or beyond any model.
std::optional<hdf5::Shape> parse_shape(std::string_view text) {
  constexpr hsize_t kMostValues = hsize_t{1} << 40;
  constexpr hsize_t kMostExtent = std::numeric_limits<int>::max();
  hdf5::Shape shape;
  hsize_t values = 1;
  for (const char *at = text.data(), *const end = at + text.size();;) {
    hsize_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc{} || extent == 0 || extent > std::min(kMostExtent, kMostValues / values))
      return std::nullopt;
    values *= extent;
    shape.push_back(extent);
    if (next == end) return shape;
    if (*next != ',') return std::nullopt;
    at = next + 1;
  }
}

std::vector<StoredPlace> read_places(const hdf5::Reader& file, const std::string& name_set,
                                     const std::string& shape_set) {
  const auto names = file.read_texts(name_set);
  const auto shapes = file.read_texts(shape_set);
  if (names.size() != shapes.size())
    file.refuse(shape_set,
                fmt::format("has {} entries for {} tensors", shapes.size(), names.size()));
  std::vector<StoredPlace> places;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto shape = parse_shape(shapes[i]);
    if (!shape) file.refuse(shape_set, fmt::format("has an impossible shape, number {}", i));
    StoredPlace place{names[i], *shape};
    for (const hsize_t extent : *shape) place.size *= extent;
    places.push_back(std::move(place));
  }
  return places;
}

}  // namespace

ParameterLayout StoredLayout::padded() const {
  ParameterLayout layout;
  const auto add = [&](const StoredPlace& place, TensorKind kind) {
    layout.add(place.name, {place.shape.begin(), place.shape.end()}, kind, 0);
  };
  for (const StoredPlace& place : parameters) add(place, TensorKind::weight);
  for (const StoredPlace& place : statistics) add(place, TensorKind::statistic);
  return layout;
}

std::size_t count_values(const std::vector<StoredPlace>& places) {
  std::size_t values = 0;
  for (const StoredPlace& place : places) values += place.size;
  return values;
}

void write_layout(hdf5::File& file, const ParameterLayout& layout) {
  std::vector<std::string> names;
  std::vector<std::string> shapes;
  std::vector<std::int64_t> sizes;
  std::vector<std::int32_t> layers;
  for (const Tensor& tensor : layout.tensors()) {
    names.push_back(tensor.name);
    shapes.push_back(fmt::format("{}", fmt::join(tensor.shape, ",")));
    sizes.push_back(static_cast<std::int64_t>(tensor.size()));
    layers.push_back(tensor.layer);
  }
  file.write_texts("/layout/name", names);
  file.write_texts("/layout/shape", shapes);
  file.write("/layout/size", sizes);
  file.write("/layout/layer", layers);
  names.clear();
  shapes.clear();
  for (const Tensor& tensor : layout.statistics()) {
    names.push_back(tensor.name);
    shapes.push_back(fmt::format("{}", fmt::join(tensor.shape, ",")));
  }
  file.write_texts("/layout/statistic_name", names);
  file.write_texts("/layout/statistic_shape", shapes);
}

StoredLayout read_layout(const hdf5::Reader& file) {
  StoredLayout layout{.parameters = read_places(file, "/layout/name", "/layout/shape"),
                      .statistics = {}};
  if (file.exists("/layout/statistic_name"))
    layout.statistics = read_places(file, "/layout/statistic_name", "/layout/statistic_shape");
  std::set<std::string_view> names;
  for (const auto* places : {&layout.parameters, &layout.statistics})
    for (const StoredPlace& place : *places)
      if (!names.insert(place.name).second)
        file.refuse("/layout/name", fmt::format("has {} twice", place.name));
  return layout;
}

std::vector<float> read_result_model(const hdf5::Reader& result, const StoredLayout& layout) {
  std::vector<float> values;
  for (const auto* places : {&layout.parameters, &layout.statistics})
    for (const StoredPlace& place : *places) {
      const std::string name = "/model/" + place.name;
      if (result.shape(name) != place.shape)
        result.refuse(name, "is not of the shape that /layout says");
      const auto own = result.read<float>(name);
      values.insert(values.end(), own.begin(), own.end());
    }
  return values;
}

std::vector<float> read_packed_model(const hdf5::Reader& checkpoint, const StoredLayout& layout) {
  constexpr const char* kModel = "/server/model";
  const ParameterLayout padded = layout.padded();
  if (checkpoint.shape(kModel) != hdf5::Shape{padded.padded_size()})
    checkpoint.refuse(kModel, "is not of the size that /layout says");
  return pack_model(padded, checkpoint.read<float>(kModel));
}

}  // namespace fedselect
