#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "data/formats/formats.hpp"
#include "data/formats/groups.hpp"
#include "data/formats/unit_pixels.hpp"
#include "files/hdf5_reader.hpp"

namespace fedselect::formats {

namespace {

constexpr std::size_t kMostSide = 32767;
constexpr const char* kRemedy = "fetch it again, or set data.path to another folder";
const std::string kClients = "/examples";

/// The one file of the folder whose name ends so.
std::filesystem::path find_part(const std::filesystem::path& folder, const std::string& part) {
  const auto found = find_tff(folder, part);
  if (found.size() == 1) return found.front();
  throw InputError(fmt::format(
      "{} has {} files *_{}.h5 (it must have one): set data.path to a folder that holds "
      "fed_emnist_train.h5 and fed_emnist_test.h5",
      folder.string(), found.size(), part));
}

class TffFormat final : public DatasetReader {
 public:
  explicit TffFormat(const std::filesystem::path& folder)
      : files_{hdf5::Reader(find_part(folder, "train"), kRemedy),
               hdf5::Reader(find_part(folder, "test"), kRemedy)} {
    for (const auto part : kParts) {
      const auto& file = this->file(part);
      for (const auto& client : file.children(kClients))
        runs_[static_cast<std::size_t>(part)].push_back({client, count(file, client)});
    }
    set_groups(header_, GroupKind::client, runs_);
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    auto out = pixels.begin();
    for (const auto& run : runs(part)) {
      const auto name = images_of(file(part), run.group);
      const auto bytes = name.ends_with("/image") ? file(part).read<std::uint8_t>(name)
                                                  : read_floats(file(part), name);
      out = std::transform(bytes.begin(), bytes.end(), out,
                           [](std::uint8_t value) { return std::byte{value}; });
    }
  }

  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    auto out = labels.begin();
    for (const auto& run : runs(part)) {
      const auto mine = file(part).read<std::int32_t>(kClients + "/" + run.group + "/label");
      out = std::copy(mine.begin(), mine.end(), out);
    }
  }

  void read_groups(PartKind part, std::span<std::int32_t> groups) override {
    fill_groups(header_, runs(part), groups);
  }

  std::string labels_origin(PartKind part) const override { return file(part).path().string(); }

 private:
  const hdf5::Reader& file(PartKind part) const { return files_[static_cast<std::size_t>(part)]; }
  const std::vector<GroupRun>& runs(PartKind part) const {
    return runs_[static_cast<std::size_t>(part)];
  }

  /// EMNIST has pixels, of floating point; CIFAR-100 has image, of bytes.
  static std::string images_of(const hdf5::Reader& file, const std::string& client) {
    const auto bytes = kClients + "/" + client + "/image";
    return file.exists(bytes) ? bytes : kClients + "/" + client + "/pixels";
  }

  static std::vector<std::uint8_t> read_floats(const hdf5::Reader& file, const std::string& name) {
    std::vector<std::uint8_t> bytes;
    for (const float brightness : file.read<float>(name)) {
      const auto pixel = pixel_of(static_cast<double>(brightness));
      if (!pixel)
        file.refuse(name, fmt::format("has the value {}, pixels are in [0, 1]", brightness));
      bytes.push_back(*pixel);
    }
    return bytes;
  }

  /// The client's samples; its images must look as those before.
  std::uint64_t count(const hdf5::Reader& file, const std::string& client) {
    const auto images = images_of(file, client);
    const auto labels = kClients + "/" + client + "/label";
    const auto shape = file.shape(images);
    const bool has_channels = shape.size() == 4;
    if ((shape.size() != 3 && !has_channels) ||
        std::any_of(shape.begin() + 1, shape.end(), [](hsize_t n) { return n > kMostSide; }))
      file.refuse(images, fmt::format("has the shape ({}), images are (n, height, width) or (n, "
                                      "height, width, channels)",
                                      fmt::join(shape, ", ")));
    const ops::ImageShape image{static_cast<int>(shape[1]), static_cast<int>(shape[2]),
                                has_channels ? static_cast<int>(shape[3]) : 1};
    if (header_.image == ops::ImageShape{}) header_.image = image;
    if (image != header_.image)
      file.refuse(images,
                  fmt::format("has images of {} x {} x {}, others have {} x {} x {}", image.height,
                              image.width, image.channels, header_.image.height,
                              header_.image.width, header_.image.channels));
    if (file.shape(labels) != hdf5::Shape{shape[0]})
      file.refuse(labels, fmt::format("must hold {} labels, one an image", shape[0]));
    return shape[0];
  }

  std::array<hdf5::Reader, 2> files_;
  GroupRuns runs_;
};

}  // namespace

std::vector<std::filesystem::path> find_tff(const std::filesystem::path& folder,
                                            const std::string& part) {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().filename().string().ends_with("_" + part + ".h5"))
      found.push_back(entry.path());
  return found;
}

std::unique_ptr<DatasetReader> open_tff(const std::filesystem::path& folder) {
  return std::make_unique<TffFormat>(folder);
}

}  // namespace fedselect::formats
