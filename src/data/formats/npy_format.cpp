#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <string>

#include "data/formats/formats.hpp"
#include "data/formats/npy_file.hpp"

namespace fedselect::formats {

namespace {

constexpr std::size_t kMostSide = std::numeric_limits<std::int16_t>::max();

ops::ImageShape image_of(const NpyFile& images) {
  const auto& shape = images.shape();
  if (images.type() != "|u1")
    images.refuse("must hold unsigned bytes", fmt::format("its type is '{}'", images.type()));
  const bool has_channels = shape.size() == 4;
  if ((shape.size() != 3 && !has_channels) || shape[1] > kMostSide || shape[2] > kMostSide ||
      (has_channels && shape[3] > kMostSide))
    images.refuse("must hold images: (n, height, width) or (n, height, width, channels)",
                  fmt::format("its shape is {}", fmt::join(shape, " x ")));
  return {static_cast<int>(shape[1]), static_cast<int>(shape[2]),
          has_channels ? static_cast<int>(shape[3]) : 1};
}

struct PartFiles {
  NpyFile images;
  NpyFile labels;

  PartFiles(const std::filesystem::path& folder, const std::string& part)
      : images(folder / (part + "_images.npy")), labels(folder / (part + "_labels.npy")) {}
};

class NpyFormat final : public DatasetReader {
 public:
  explicit NpyFormat(const std::filesystem::path& folder)
      : files_{PartFiles(folder, "train"), PartFiles(folder, "test")} {
    header_.image = image_of(files_[0].images);
    if (image_of(files_[1].images) != header_.image)
      files_[1].images.refuse("has images of another shape than the training part",
                              fmt::format("{}, not {}", fmt::join(files_[1].images.shape(), " x "),
                                          fmt::join(files_[0].images.shape(), " x ")));
    for (const auto part : kParts) {
      const auto& [images, labels] = files(part);
      const auto n = images.shape()[0];
      if (labels.shape().size() != 1 || labels.shape()[0] != n)
        labels.refuse(fmt::format("must hold {} labels, one an image", n),
                      fmt::format("its shape is {}", fmt::join(labels.shape(), " x ")));
      header_.samples[static_cast<std::size_t>(part)] = n;
    }
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    files(part).images.read_bytes(0, pixels);
  }
  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    files(part).labels.read_integers(labels);
  }
  std::string labels_origin(PartKind part) const override {
    return files_[static_cast<std::size_t>(part)].labels.path().string();
  }

 private:
  PartFiles& files(PartKind part) { return files_[static_cast<std::size_t>(part)]; }

  std::array<PartFiles, 2> files_;
};

}  // namespace

std::unique_ptr<DatasetReader> open_npy(const std::filesystem::path& folder) {
  return std::make_unique<NpyFormat>(folder);
}

}  // namespace fedselect::formats
