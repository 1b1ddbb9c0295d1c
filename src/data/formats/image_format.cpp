#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "data/formats/formats.hpp"
#include "data/formats/groups.hpp"
#include "data/image_file.hpp"
#include "data/resample.hpp"

namespace fedselect::formats {

namespace {

namespace fs = std::filesystem;

constexpr int kColours = 3;
constexpr std::string_view kLayouts =
    "images stand in CLASS/ or DOMAIN/CLASS/, both either below train/ and test/ or not";

struct ImageFile {
  fs::path path;
  std::string domain;  ///< empty: the set has no domains
  std::string cls;
};

/// Visible entries of a folder, ascending by the bytes of their names.
std::vector<fs::directory_entry> list(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code))
    if (!entry.path().filename().string().starts_with('.')) entries.push_back(entry);
  if (code)
    throw InputError(fmt::format("{} can't be read ({}): set data.path to a folder of images",
                                 folder.string(), code.message()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_image(const fs::directory_entry& entry) {
  std::error_code ignored;
  auto ending = entry.path().extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return (ending == ".png" || ending == ".jpg" || ending == ".jpeg") &&
         entry.is_regular_file(ignored);
}

/// Images of CLASS/ and of DOMAIN/CLASS/ below a folder, in the order of their paths.
std::vector<ImageFile> find_images(const fs::path& folder) {
  std::vector<ImageFile> files;
  const auto add_class = [&](const fs::path& in, const std::string& domain) {
    for (const auto& entry : list(in))
      if (is_image(entry)) files.push_back({entry.path(), domain, in.filename().string()});
  };
  std::error_code ignored;
  for (const auto& outer : list(folder)) {
    if (!outer.is_directory(ignored)) continue;
    add_class(outer.path(), "");
    for (const auto& inner : list(outer.path()))
      if (inner.is_directory(ignored)) add_class(inner.path(), outer.path().filename().string());
  }
  const bool any_without =
      std::any_of(files.begin(), files.end(), [](const auto& file) { return file.domain.empty(); });
  const bool any_with = std::any_of(files.begin(), files.end(),
                                    [](const auto& file) { return !file.domain.empty(); });
  if (any_with && any_without)
    throw InputError(
        fmt::format("{} has images in folders and in folders of those ({}): move them "
                    "to one depth, or set data.path to another",
                    folder.string(), kLayouts));
  return files;
}

using Files = std::array<std::vector<ImageFile>, 2>;

/// Of each class of each domain, `fraction` of the images become the test part: t of n, rounded,
/// spread evenly over the order of their names. Depends on names only.
Files split(const std::vector<ImageFile>& all, double fraction) {
  std::map<std::pair<std::string, std::string>, std::vector<const ImageFile*>> classes;
  for (const auto& file : all) classes[{file.domain, file.cls}].push_back(&file);
  Files files;
  for (const auto& [name, images] : classes) {
    const auto n = images.size();
    const auto test = static_cast<std::size_t>(std::trunc(static_cast<double>(n) * fraction + 0.5));
    for (std::size_t i = 0; i < n; ++i)
      files[(i + 1) * test / n > i * test / n ? 1 : 0].push_back(*images[i]);
  }
  return files;
}

Files find_parts(const fs::path& folder, double fraction) {
  std::error_code ignored;
  if (fs::is_directory(folder / "train", ignored) && fs::is_directory(folder / "test", ignored))
    return {find_images(folder / "train"), find_images(folder / "test")};
  return split(find_images(folder), fraction);
}

class ImageFormat final : public DatasetReader {
 public:
  ImageFormat(const fs::path& folder, int side, double test_fraction)
      : folder_(folder), files_(find_parts(folder, test_fraction)) {
    for (const auto part : kParts)
      if (files(part).empty())
        throw InputError(
            fmt::format("{} has no {} images, PNG or JPEG ({}): set data.path to "
                        "another, or data.test_fraction between 0 and 1",
                        folder.string(), kPartNames[static_cast<std::size_t>(part)], kLayouts));
    find_classes();
    find_domains();
    resizes_ = side > 0;
    header_.image = {side, side, kColours};
    if (!resizes_) {
      const auto first = read_image_file(files(PartKind::train).front().path);
      header_.image = {first.height, first.width, kColours};
    }
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    auto out = pixels.begin();
    for (const auto& file : files(part)) {
      pulse::beat();
      auto picture = read_image_file(file.path);
      if (resizes_)
        picture = resample(picture, header_.image.height, header_.image.width, Filter::triangle);
      if (picture.height != header_.image.height || picture.width != header_.image.width)
        throw InputError(fmt::format(
            "{} has {} x {} pixels, {} has {} x {}: set data.image_size to bring all to one size",
            file.path.string(), picture.height, picture.width,
            files(PartKind::train).front().path.string(), header_.image.height,
            header_.image.width));
      out =
          std::copy_n(std::as_bytes(std::span(picture.pixels)).begin(), picture.pixels.size(), out);
    }
  }

  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    std::transform(files(part).begin(), files(part).end(), labels.begin(), [&](const auto& file) {
      const auto at = std::lower_bound(classes_.begin(), classes_.end(), file.cls);
      return static_cast<std::int32_t>(at - classes_.begin());
    });
  }

  void read_groups(PartKind part, std::span<std::int32_t> groups) override {
    fill_groups(header_, runs_[static_cast<std::size_t>(part)], groups);
  }

  std::string labels_origin(PartKind /*part*/) const override { return folder_.string(); }

 private:
  const std::vector<ImageFile>& files(PartKind part) const {
    return files_[static_cast<std::size_t>(part)];
  }

  void find_classes() {
    std::set<std::string> train;
    for (const auto& file : files(PartKind::train)) train.insert(file.cls);
    for (const auto& file : files(PartKind::test))
      if (!train.contains(file.cls))
        throw InputError(
            fmt::format("{} is of class {}, which has no training images: add some, "
                        "or remove it",
                        file.path.string(), file.cls));
    classes_.assign(train.begin(), train.end());
  }

  void find_domains() {
    for (const auto part : kParts)
      for (const auto& file : files(part))
        runs_[static_cast<std::size_t>(part)].push_back({file.domain, 1});
    const bool has_domains = !files(PartKind::train).front().domain.empty();
    if (has_domains == files(PartKind::test).front().domain.empty())
      throw InputError(
          fmt::format("{} has domains in one of train/ and test/ only: give both or "
                      "none DOMAIN/CLASS/",
                      folder_.string()));
    set_groups(header_, has_domains ? GroupKind::domain : GroupKind::none, runs_);
    if (!has_domains) header_.groups.clear();
  }

  fs::path folder_;
  Files files_;
  GroupRuns runs_;
  std::vector<std::string> classes_;
  bool resizes_ = false;
};

}  // namespace

std::unique_ptr<DatasetReader> open_images(const fs::path& folder, int side, double test_fraction) {
  return std::make_unique<ImageFormat>(folder, side, test_fraction);
}

bool has_images(const fs::path& folder) {
  std::error_code ignored;
  for (auto at = fs::recursive_directory_iterator(folder, ignored);
       at != fs::recursive_directory_iterator(); at.increment(ignored)) {
    if (is_image(*at)) return true;
    if (at.depth() == 3) at.disable_recursion_pending();
  }
  return false;
}

}  // namespace fedselect::formats
