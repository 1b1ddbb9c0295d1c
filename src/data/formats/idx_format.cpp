#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "data/formats/formats.hpp"
#include "data/idx.hpp"

namespace fedselect::formats {

namespace {

constexpr std::size_t kImageAxes = 3;  // sample, row, column
constexpr std::size_t kLabelAxes = 1;
constexpr std::string_view kFourFiles =
    "put the four files of one data set into the folder, or set data.path to another";

/// The two files of a part.
struct PartFiles {
  std::filesystem::path images;
  std::filesystem::path labels;
};

PartFiles find_part(const std::filesystem::path& folder, const std::string& part) {
  return {find_idx(folder, part + "-images-idx3-ubyte"),
          find_idx(folder, part + "-labels-idx1-ubyte")};
}

/// Number, height and width of the images, if the two files belong together.
std::vector<std::size_t> read_lengths(const PartFiles& files) {
  const IdxReader images(files.images, kImageAxes);
  const IdxReader labels(files.labels, kLabelAxes);
  if (labels.size() != images.lengths()[0])
    throw InputError(
        fmt::format("{} has {} labels for {} images of {} (they don't belong together): {}",
                    files.labels.string(), labels.size(), images.lengths()[0],
                    files.images.string(), kFourFiles));
  return images.lengths();
}

class IdxFormat final : public DatasetReader {
 public:
  explicit IdxFormat(const std::filesystem::path& folder)
      : files_{find_part(folder, "train"), find_part(folder, "t10k")} {
    const auto train = read_lengths(files_[0]);
    const auto test = read_lengths(files_[1]);
    if (train[1] != test[1] || train[2] != test[2])
      throw InputError(fmt::format("{} has images of {} x {}, {} of {} x {}: {}",
                                   files_[0].images.string(), train[1], train[2],
                                   files_[1].images.string(), test[1], test[2], kFourFiles));
    constexpr std::size_t kMost = std::numeric_limits<int>::max();
    header_.samples = {train[0], test[0]};
    header_.image = {static_cast<int>(std::min(train[1], kMost)),
                     static_cast<int>(std::min(train[2], kMost)), 1};
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    IdxReader(files(part).images, kImageAxes).read_values(pixels);
  }

  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    std::vector<std::byte> narrow(labels.size());
    IdxReader(files(part).labels, kLabelAxes).read_values(narrow);
    std::transform(narrow.begin(), narrow.end(), labels.begin(),
                   [](std::byte label) { return std::to_integer<std::int32_t>(label); });
  }

  std::string labels_origin(PartKind part) const override { return files(part).labels.string(); }

 private:
  const PartFiles& files(PartKind part) const { return files_[static_cast<std::size_t>(part)]; }

  std::array<PartFiles, 2> files_;
};

}  // namespace

std::unique_ptr<DatasetReader> open_idx(const std::filesystem::path& folder) {
  return std::make_unique<IdxFormat>(folder);
}

}  // namespace fedselect::formats
