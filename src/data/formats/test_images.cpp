#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "data/formats/formats.hpp"
#include "data/formats/npy_file.hpp"

namespace fedselect::formats {

namespace {

/// A data set whose test images come from elsewhere, in the same order.
class OtherTestImages final : public DatasetReader {
 public:
  OtherTestImages(std::unique_ptr<DatasetReader> inner, const std::filesystem::path& file,
                  std::size_t block)
      : inner_(std::move(inner)), images_(file) {
    header_ = inner_->header();
    const auto n = header_.size(PartKind::test);
    const auto& image = header_.image;
    std::vector<std::size_t> shape{n, static_cast<std::size_t>(image.height),
                                   static_cast<std::size_t>(image.width),
                                   static_cast<std::size_t>(image.channels)};
    const auto& found = images_.shape();
    const bool fits = images_.type() == "|u1" && found.size() == shape.size() &&
                      std::equal(found.begin() + 1, found.end(), shape.begin() + 1) &&
                      found[0] % n == 0;
    if (!fits)
      images_.refuse(
          fmt::format("doesn't hold bytes of the shape k * {} x {} x {} x {}, as the "
                      "test part needs",
                      n, shape[1], shape[2], shape[3]),
          fmt::format("its type is '{}', its shape {}", images_.type(), fmt::join(found, " x ")));
    if (block * n > found[0])
      throw KeyError("data.test_severity",
                     fmt::format("data.test_severity = {} is more than the {} of {}: lower it",
                                 block, found[0] / n, file.string()));
    first_ = (block - 1) * n;
    const auto labels = file.parent_path() / "labels.npy";
    std::error_code ignored;
    if (std::filesystem::exists(labels, ignored)) check_labels(labels);
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    if (part == PartKind::train)
      inner_->read_pixels(part, pixels);
    else
      images_.read_bytes(first_ * header_.image.size(), pixels);
  }
  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    inner_->read_labels(part, labels);
  }
  void read_groups(PartKind part, std::span<std::int32_t> groups) override {
    inner_->read_groups(part, groups);
  }
  std::string labels_origin(PartKind part) const override { return inner_->labels_origin(part); }

 private:
  /// The labels beside the images must be those of the test part, in its order.
  void check_labels(const std::filesystem::path& path) {
    NpyFile file(path);
    const auto n = header_.size(PartKind::test);
    if (file.shape().size() != 1 || file.shape()[0] < first_ + n)
      file.refuse(fmt::format("must hold {} labels or more", first_ + n),
                  fmt::format("its shape is {}", fmt::join(file.shape(), " x ")));
    std::vector<std::int32_t> found(file.shape()[0]);
    file.read_integers(found);
    std::vector<std::int32_t> wanted(n);
    inner_->read_labels(PartKind::test, wanted);
    const auto differ = std::mismatch(wanted.begin(), wanted.end(),
                                      found.begin() + static_cast<std::ptrdiff_t>(first_));
    if (differ.first != wanted.end())
      file.refuse("has other labels than the test part",
                  fmt::format("image {} is {} there, {} in data.path",
                              differ.first - wanted.begin(), *differ.second, *differ.first));
  }

  std::unique_ptr<DatasetReader> inner_;
  NpyFile images_;
  std::size_t first_ = 0;  ///< image of the file that is the first of the test part
};

}  // namespace

std::unique_ptr<DatasetReader> replace_test_images(std::unique_ptr<DatasetReader> inner,
                                                   const std::filesystem::path& file,
                                                   std::size_t block) {
  return std::make_unique<OtherTestImages>(std::move(inner), file, block);
}

}  // namespace fedselect::formats
