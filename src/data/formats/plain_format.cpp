#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "data/formats/formats.hpp"
#include "data/plain_layout.hpp"
#include "files/hdf5_reader.hpp"

namespace fedselect::formats {

namespace {

constexpr std::size_t kMostSide = 32767;
constexpr std::size_t kBytesAtOnce = std::size_t{1} << 24;
constexpr const char* kRemedy = "write it as docs/data.md says, or set data.path to another";

class PlainFormat final : public DatasetReader {
 public:
  explicit PlainFormat(const std::filesystem::path& path) : file_(path, kRemedy) {
    check_version();
    header_.image = image_of(PartKind::train);
    if (image_of(PartKind::test) != header_.image)
      file_.refuse(name(PartKind::test, "images"),
                   "has images of another shape than /train/images");
    for (const auto part : kParts) {
      header_.samples[static_cast<std::size_t>(part)] = file_.rows(name(part, "images"));
      check_list(part, "labels");
    }
    if (file_.exists(kGroupNames)) open_groups();
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    const auto row = header_.image.size();
    const auto rows = std::max<std::size_t>(1, kBytesAtOnce / row);
    for (std::size_t first = 0; first < header_.size(part); first += rows) {
      const auto count = std::min<std::size_t>(rows, header_.size(part) - first);
      const auto bytes = file_.read_rows<std::uint8_t>(name(part, "images"), first, count);
      std::copy_n(std::as_bytes(std::span(bytes)).begin(), bytes.size(),
                  pixels.begin() + static_cast<std::ptrdiff_t>(first * row));
    }
  }

  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    read_list(part, "labels", labels);
  }

  void read_groups(PartKind part, std::span<std::int32_t> groups) override {
    read_list(part, "groups", groups);
    const auto most = static_cast<std::int32_t>(header_.groups.size());
    for (const auto group : groups)
      if (group < 0 || group >= most)
        file_.refuse(name(part, "groups"),
                     fmt::format("has the group {}, {} has {}", group, kGroupNames, most));
  }

  std::string labels_origin(PartKind part) const override {
    return file_.path().string() + ": " + name(part, "labels");
  }

 private:
  static std::string name(PartKind part, const char* what) {
    return fmt::format("/{}/{}", kPartNames[static_cast<std::size_t>(part)], what);
  }

  void check_version() const {
    if (!file_.has_attribute("format") || file_.text_attribute("format") != kPlainFormat)
      file_.refuse("attribute format", fmt::format("must be \"{}\"", kPlainFormat));
    const auto version = file_.integer_attribute("version");
    if (version != kPlainVersion)
      file_.refuse("attribute version",
                   fmt::format("is {}, this program reads {}", version, kPlainVersion));
  }

  ops::ImageShape image_of(PartKind part) const {
    const auto shape = file_.shape(name(part, "images"));
    const bool has_channels = shape.size() == 4;
    if ((shape.size() != 3 && !has_channels) ||
        std::any_of(shape.begin() + 1, shape.end(), [](hsize_t n) { return n > kMostSide; }))
      file_.refuse(name(part, "images"),
                   fmt::format("has the shape ({}), images are (n, height, width) or (n, height, "
                               "width, channels)",
                               fmt::join(shape, ", ")));
    return {static_cast<int>(shape[1]), static_cast<int>(shape[2]),
            has_channels ? static_cast<int>(shape[3]) : 1};
  }

  void check_list(PartKind part, const char* what) const {
    if (file_.shape(name(part, what)) != hdf5::Shape{header_.size(part)})
      file_.refuse(name(part, what),
                   fmt::format("must hold {} numbers, one an image", header_.size(part)));
  }

  void open_groups() {
    header_.groups = file_.read_texts(kGroupNames);
    const auto kind = file_.read_text(kGroupKind);
    const auto found = std::find(kGroupKindNames.begin() + 1, kGroupKindNames.end(), kind);
    if (found == kGroupKindNames.end())
      file_.refuse(kGroupKind, fmt::format("is \"{}\", must be \"client\" or \"domain\"", kind));
    header_.group_kind = static_cast<GroupKind>(found - kGroupKindNames.begin());
    for (const auto part : kParts) check_list(part, "groups");
  }

  void read_list(PartKind part, const char* what, std::span<std::int32_t> values) const {
    const auto read = file_.read<std::int32_t>(name(part, what));
    std::copy(read.begin(), read.end(), values.begin());
  }

  hdf5::Reader file_;
};

}  // namespace

std::unique_ptr<DatasetReader> open_plain(const std::filesystem::path& file) {
  return std::make_unique<PlainFormat>(file);
}

}  // namespace fedselect::formats
