#include "files/hdf5_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "base/error.hpp"
#include "files/hdf5_heap.hpp"
#include "files/hdf5_numbers.hpp"
#include "files/hdf5_values.hpp"

namespace fedselect::hdf5 {

namespace {

namespace fs = std::filesystem;
using Kind = ValueType::Kind;

/// No stream of deflate grows by more than this factor (zlib.net, "technical details").
constexpr std::uint64_t kMostInflation = 1032;
constexpr std::array kFilters{Filter::kDeflate, Filter::kShuffle, Filter::kFletcher32};

/// A text of fixed length: what pads it at its end is not part of it.
std::string unpad(std::string_view text, ValueType::Padding padding) {
  if (padding == ValueType::Padding::spaces)
    return std::string(text.substr(0, text.find_last_not_of(' ') + 1));
  return std::string(text.substr(0, text.find('\0')));
}

std::string message_of(const std::runtime_error& error) {
  return fmt::format("cannot be read ({})", error.what());
}

}  // namespace

/// An object that was looked at.
struct Reader::Node {
  Object object;
  std::optional<Links> links = {};                 ///< of a group
  std::unique_ptr<StoredValues> values = nullptr;  ///< of a data set

  const Description& description() const { return values->description(); }
};

struct Reader::Parts {
  FileBytes file;
  std::uint64_t root = 0;             ///< address of the root group
  std::map<std::string, Node> nodes;  ///< by their names
  LastChunk last;
};

template <class Action>
auto Reader::guarded(const std::string& name, const Action& action) const {
  try {
    return action();
  } catch (const InputError&) {
    throw;
  } catch (const std::runtime_error& error) {
    refuse(name, message_of(error));
  }
}

Reader::Reader(fs::path path, std::string remedy)
    : path_(std::move(path)), remedy_(std::move(remedy)) {
  std::error_code error;
  const auto status = fs::status(path_, error);
  if (!error && !fs::is_regular_file(status))
    error = std::make_error_code(std::errc::invalid_argument);
  const auto refuse_file = [&](std::string_view what, std::string_view why) {
    throw InputError(fmt::format("{}: {} ({}): {}", path_.string(), what, why, remedy_));
  };
  if (error) refuse_file("cannot open this file", error.message());
  std::optional<FileBytes> file;
  try {
    file.emplace(path_);
  } catch (const std::runtime_error& why) {
    refuse_file("cannot open this file", why.what());
  }
  try {
    const std::uint64_t root = open_superblock(*file);
    parts_ = std::make_unique<Parts>(Parts{std::move(*file), root, {}, {}});
    parts_->nodes.emplace("/", Node{read_object(parts_->file, root)});
  } catch (const std::runtime_error& why) {
    refuse_file("is no HDF5 file, or a torn one", why.what());
  }
}

Reader::~Reader() = default;
Reader::Reader(Reader&& other) noexcept = default;

void Reader::refuse(const std::string& name, std::string_view what) const {
  throw InputError(fmt::format("{}: {} {}: {}", path_.string(), name, what, remedy_));
}

Reader::Node* Reader::find(const std::string& name) const {
  auto& nodes = parts_->nodes;
  std::string path = "/";
  for (std::size_t begin = name.find_first_not_of('/'); begin != std::string::npos;) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string step = name.substr(begin, end - begin);
    Node& parent = nodes.at(path);
    if (!parent.object.is_group()) return nullptr;
    if (!parent.links)
      parent.links = guarded(path, [&] { return read_links(parts_->file, parent.object); });
    const auto link = parent.links->find(step);
    if (link == parent.links->end()) return nullptr;
    path += (path == "/" ? "" : "/") + step;
    if (!link->second.is_hard) refuse(path, "is a link to another place");
    if (!nodes.contains(path))
      nodes.emplace(path, guarded(path, [&] {
                      return Node{read_object(parts_->file, link->second.address)};
                    }));
    begin = name.find_first_not_of('/', end);
  }
  return &nodes.at(path);
}

bool Reader::exists(const std::string& name) const { return find(name) != nullptr; }

const Reader::Node& Reader::open_data(const std::string& name) const {
  Node* found = find(name);
  if (found == nullptr) refuse(name, "is missing");
  if (!found->object.is_data()) refuse(name, "is no data set");
  if (!found->values)
    found->values = guarded(name, [&] {
      return std::make_unique<StoredValues>(parts_->file, describe(found->object));
    });
  if (found->description().extents.is_null) refuse(name, "holds nothing");
  return *found;
}

Shape Reader::shape(const std::string& name) const {
  const auto& sizes = open_data(name).description().extents.sizes;
  return {sizes.begin(), sizes.end()};
}

hsize_t Reader::rows(const std::string& name) const {
  const Shape extents = shape(name);
  if (extents.empty()) refuse(name, "is a single value, not a list");
  return extents.front();
}

const Reader::Node& Reader::open_numbers(const std::string& name, bool integers) const {
  const Node& node = open_data(name);
  const ValueType& type = node.description().type;
  if (type.kind != Kind::integer && type.kind != Kind::real) refuse(name, "does not hold numbers");
  if (integers && type.kind != Kind::integer) refuse(name, "does not hold whole numbers");
  if (!type.is_ordinary) refuse(name, "holds numbers of an unusual layout");
  check_storage(name, node);
  return node;
}

void Reader::check_storage(const std::string& name, const Node& node) const {
  const Description& description = node.description();
  if (description.placement.form == Placement::Form::elsewhere)
    refuse(name, "has its values in another file");
  std::uint64_t inflation = 1;
  for (const Filter& filter : description.filters) {
    if (std::find(kFilters.begin(), kFilters.end(), filter.id) == kFilters.end())
      refuse(name, fmt::format("is stored with filter {}, which this program can't undo (deflate, "
                               "shuffle and fletcher32 it can)",
                               filter.id));
    if (filter.id == Filter::kDeflate) inflation = kMostInflation;
  }
  const std::uint64_t stored = node.values->stored_bytes();
  const std::uint64_t chunk = description.placement.is_chunked() && stored > 0
                                  ? saturating_product(description.placement.chunk)
                                  : 0;
  const std::uint64_t claimed = std::max(saturating_product(description.extents.sizes), chunk);
  if (saturating_product(claimed, description.type.bytes) > saturating_product(stored, inflation))
    refuse(name, fmt::format("claims {} values of {} bytes, more than its {} bytes in the file can "
                             "hold",
                             claimed, description.type.bytes, stored));
}

template <class T>
std::vector<T> Reader::read_open(const std::string& name, hsize_t first, hsize_t rows) const {
  const Node& node = open_numbers(name, std::is_integral_v<T>);
  const std::uint64_t all = node.values->rows();
  if (rows == kAllRows && first == 0) rows = all;
  if (first > all || rows > all - first)
    refuse(name, fmt::format("has {} rows, {} from row {} on are wanted", all, rows, first));
  std::vector<std::uint64_t> wanted = node.description().extents.sizes;
  if (!wanted.empty()) wanted.front() = rows;
  const std::uint64_t count = wanted.empty() ? rows : saturating_product(wanted);
  const ValueType& type = node.description().type;
  try {
    std::vector<T> values(count);
    if (is_stored_as<T>(type)) {
      node.values->read(first, rows, std::as_writable_bytes(std::span(values)), parts_->last);
    } else {
      std::vector<std::byte> bytes(count * type.bytes);
      node.values->read(first, rows, bytes, parts_->last);
      convert_all<T>(bytes, type, values);
    }
    return values;
  } catch (const NumberTooLarge& error) {
    refuse(name, error.what());
  } catch (const std::runtime_error& error) {
    refuse(name, message_of(error));
  }
}

template std::vector<std::uint8_t> Reader::read_open(const std::string&, hsize_t, hsize_t) const;
template std::vector<std::int32_t> Reader::read_open(const std::string&, hsize_t, hsize_t) const;
template std::vector<std::int64_t> Reader::read_open(const std::string&, hsize_t, hsize_t) const;
template std::vector<std::uint64_t> Reader::read_open(const std::string&, hsize_t, hsize_t) const;
template std::vector<float> Reader::read_open(const std::string&, hsize_t, hsize_t) const;
template std::vector<double> Reader::read_open(const std::string&, hsize_t, hsize_t) const;

std::vector<std::string> Reader::read_texts(const std::string& name) const {
  const Node& node = open_data(name);
  const Description& description = node.description();
  const ValueType& type = description.type;
  if (type.kind != Kind::fixed_text && type.kind != Kind::variable_text)
    refuse(name, "does not hold text");
  if (description.extents.sizes.size() > 1) refuse(name, "has more than one axis");
  check_storage(name, node);
  const std::uint64_t rows = node.values->rows();
  if (rows == 0) return {};
  return guarded(name, [&] {
    std::string bytes(rows * type.bytes, '\0');
    node.values->read(0, rows, std::as_writable_bytes(std::span(bytes)), parts_->last);
    if (type.kind == Kind::variable_text) return HeapTexts(parts_->file).read(bytes);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < rows; ++i)
      texts.push_back(
          unpad(std::string_view(bytes).substr(i * type.bytes, type.bytes), type.padding));
    return texts;
  });
}

std::string Reader::read_text(const std::string& name) const {
  auto texts = read_texts(name);
  if (texts.size() != 1) refuse(name, fmt::format("holds {} texts instead of one", texts.size()));
  return std::move(texts.front());
}

std::vector<std::string> Reader::children(const std::string& group) const {
  const Node* found = find(group);
  if (found == nullptr) refuse(group, "is missing");
  if (!found->object.is_group()) refuse(group, "is no group");
  std::vector<std::string> names;
  for (const auto& [name, link] :
       guarded(group, [&] { return read_links(parts_->file, found->object); })) {
    // Each of these would lead back to the group itself, or astray.
    if (name.empty() || name == "." || name.find('/') != std::string::npos)
      refuse(group, "is damaged (a name in it is none)");
    names.push_back(name);
  }
  return names;
}

std::optional<Attribute> Reader::find_attribute(const std::string& name) const {
  return guarded("attribute " + name, [&]() -> std::optional<Attribute> {
    for (const Message& message : parts_->nodes.at("/").object.messages()) {
      if (message.type != MessageType::attribute || message.is_elsewhere) continue;
      Attribute attribute = parse_attribute(message.bytes);
      if (attribute.name == name) return attribute;
    }
    return std::nullopt;
  });
}

bool Reader::has_attribute(const std::string& name) const {
  return find_attribute(name).has_value();
}

Attribute Reader::single_attribute(const std::string& name) const {
  auto attribute = find_attribute(name);
  if (!attribute) refuse("attribute " + name, "is missing");
  if (attribute->extents.is_null || saturating_product(attribute->extents.sizes) != 1 ||
      attribute->value.size() < attribute->type.bytes)
    refuse("attribute " + name, "is not a single value");
  return std::move(*attribute);
}

std::string Reader::text_attribute(const std::string& name) const {
  const Attribute attribute = single_attribute(name);
  const std::string_view value = std::string_view(attribute.value).substr(0, attribute.type.bytes);
  if (attribute.type.kind == Kind::fixed_text) return unpad(value, attribute.type.padding);
  if (attribute.type.kind != Kind::variable_text) refuse("attribute " + name, "does not hold text");
  return guarded("attribute " + name, [&] { return HeapTexts(parts_->file).read(value).at(0); });
}

std::int64_t Reader::integer_attribute(const std::string& name) const {
  const Attribute attribute = single_attribute(name);
  const ValueType& type = attribute.type;
  if (type.kind != Kind::integer || !type.is_ordinary)
    refuse("attribute " + name, "is no whole number");
  return guarded("attribute " + name, [&] {
    std::int64_t value = 0;
    convert_all<std::int64_t>(std::as_bytes(std::span(attribute.value)), type,
                              std::span(&value, 1));
    return value;
  });
}

}  // namespace fedselect::hdf5
