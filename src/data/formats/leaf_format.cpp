#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "data/formats/formats.hpp"
#include "data/formats/groups.hpp"
#include "data/formats/unit_pixels.hpp"
#include "files/regular_file.hpp"

namespace fedselect::formats {

namespace {

/// One part, decoded.
struct LeafPart {
  std::vector<GroupRun> runs;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
};

/// Something in a file is not as LEAF writes it; the message lacks the file.
struct NotLeaf {
  std::string what;
};

/// Takes the samples out of {"user_data": {USER: {"x": [[pixel, ...], ...], "y": [class, ...]}}} as
/// the parser comes by them; whatever else is there, it passes over. Lists within an image are
/// flattened. Memory is proportional to the file.
class LeafHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  LeafHandler(LeafPart& part, std::size_t& pixels_per_image, std::set<std::string>& users)
      : part_(part), pixels_per_image_(pixels_per_image), users_(users) {}

  bool start_object(std::size_t /*size*/) override {
    if (in_samples()) refuse("holds an object, not numbers");
    ++depth_;
    if (depth_ == kUserDepth && keys_[0] == "user_data") begin_user();
    return true;
  }
  bool end_object() override {
    if (depth_ == kUserDepth && keys_[0] == "user_data") end_user();
    --depth_;
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ >= 1 && depth_ <= kUserDepth) keys_[depth_ - 1] = name;
    return true;
  }
  bool start_array(std::size_t /*size*/) override {
    ++lists_;
    return true;
  }
  bool end_array() override {
    // The lists of user.x are images; what is in them is flat.
    if (--lists_ == 1 && in_samples() && keys_[2] == "x") end_image();
    return true;
  }
  bool number_integer(std::int64_t value) override { return take(value); }
  bool number_unsigned(std::uint64_t value) override { return take(value); }
  bool number_float(double value, const std::string& /*text*/) override {
    if (in_samples() && keys_[2] == "y") refuse("has a label that is no whole number");
    return take(value);
  }
  bool string(std::string& /*text*/) override { return pass("a text"); }
  bool boolean(bool /*value*/) override { return pass("true or false"); }
  bool null() override { return pass("null"); }
  bool binary(nlohmann::json::binary_t& /*bytes*/) override { return pass("bytes"); }
  bool parse_error(std::size_t at, const std::string& /*last*/,
                   const nlohmann::detail::exception& /*error*/) override {
    throw NotLeaf{fmt::format("is truncated or no JSON, from byte {}", at)};
  }

 private:
  static constexpr std::size_t kUserDepth = 3;

  bool in_samples() const {
    return depth_ == kUserDepth && keys_[0] == "user_data" && (keys_[2] == "x" || keys_[2] == "y");
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw NotLeaf{fmt::format("{} (user_data of {}: {})", what, keys_[1], keys_[2])};
  }

  bool pass(const char* what) const {
    if (in_samples()) refuse(fmt::format("holds {}, not numbers: only images are read", what));
    return true;
  }

  template <class Number>
  bool take(Number value) {
    if (!in_samples()) return true;
    if (keys_[2] == "x") {
      if (lists_ < 2) refuse("has pixels outside a list of an image");
      const auto pixel = pixel_of(static_cast<double>(value));
      if (!pixel) refuse(fmt::format("has the pixel {}, they are in [0, 1]", value));
      part_.pixels.push_back(*pixel);
    } else {
      const auto label = static_cast<double>(value);
      if (lists_ != 1 || label < 0 || label > 2147483647)
        refuse(fmt::format("has the label {}, it must be a class in a list", value));
      part_.labels.push_back(static_cast<std::int32_t>(value));
    }
    return true;
  }

  void begin_user() {
    if (!users_.insert(keys_[1]).second) refuse("stands there twice");
    if (keys_[1].find('\0') != std::string::npos) refuse("has a zero byte in its name");
    keys_[2].clear();
    images_ = 0;
    labels_before_ = part_.labels.size();
  }

  void end_image() {
    ++images_;
    const auto pixels = part_.pixels.size() - image_begin_;
    image_begin_ = part_.pixels.size();
    if (pixels_per_image_ == 0) pixels_per_image_ = pixels;
    if (pixels != pixels_per_image_ || pixels == 0)
      refuse(fmt::format("has an image of {} pixels, others have {}", pixels, pixels_per_image_));
  }

  void end_user() {
    const auto labels = part_.labels.size() - labels_before_;
    if (labels != images_) refuse(fmt::format("has {} labels for {} images", labels, images_));
    part_.runs.push_back({keys_[1], images_});
  }

  LeafPart& part_;
  std::size_t& pixels_per_image_;
  std::set<std::string>& users_;
  std::size_t depth_ = 0;                     ///< of objects
  std::size_t lists_ = 0;                     ///< lists that are open
  std::array<std::string, kUserDepth> keys_;  ///< the last key of each depth
  std::size_t images_ = 0;                    ///< of this user
  std::size_t labels_before_ = 0;
  std::size_t image_begin_ = 0;
};

std::vector<std::filesystem::path> find_json(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (!files.empty()) return files;
  throw InputError(fmt::format(
      "{} has no .json files: set data.path to a folder of LEAF's data with train/*.json and "
      "test/*.json",
      folder.string()));
}

class LeafFormat final : public DatasetReader {
 public:
  explicit LeafFormat(const std::filesystem::path& folder) : folder_(folder) {
    std::size_t pixels = 0;
    GroupRuns runs;
    for (const auto part : kParts) {
      std::set<std::string> users;
      const auto number = static_cast<std::size_t>(part);
      for (const auto& file : find_json(folder / kPartNames[number]))
        read(file, parts_[number], pixels, users);
      runs[number] = parts_[number].runs;
    }
    const auto side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(pixels))));
    if (static_cast<std::size_t>(side) * static_cast<std::size_t>(side) != pixels)
      throw InputError(fmt::format(
          "{} has images of {} pixels (they must be square, one channel): take another data.path",
          folder.string(), pixels));
    header_.image = {side, side, 1};
    set_groups(header_, GroupKind::client, runs);
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    const auto& mine = parts_[static_cast<std::size_t>(part)].pixels;
    std::copy_n(std::as_bytes(std::span(mine)).begin(), mine.size(), pixels.begin());
  }
  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    const auto& mine = parts_[static_cast<std::size_t>(part)].labels;
    std::copy(mine.begin(), mine.end(), labels.begin());
  }
  void read_groups(PartKind part, std::span<std::int32_t> groups) override {
    fill_groups(header_, parts_[static_cast<std::size_t>(part)].runs, groups);
  }
  std::string labels_origin(PartKind part) const override {
    return (folder_ / kPartNames[static_cast<std::size_t>(part)]).string();
  }

 private:
  static void read(const std::filesystem::path& path, LeafPart& part, std::size_t& pixels,
                   std::set<std::string>& users) {
    try {
      if (const std::string what = irregularity(path); !what.empty()) throw NotLeaf{what};
      std::ifstream stream(path, std::ios::binary);
      if (!stream) throw NotLeaf{"can't be opened"};
      // Pixels before this file are whole images of others.
      LeafPart found;
      LeafHandler handler(found, pixels, users);
      nlohmann::json::sax_parse(stream, &handler);
      part.runs.insert(part.runs.end(), found.runs.begin(), found.runs.end());
      part.pixels.insert(part.pixels.end(), found.pixels.begin(), found.pixels.end());
      part.labels.insert(part.labels.end(), found.labels.begin(), found.labels.end());
    } catch (const NotLeaf& error) {
      throw InputError(fmt::format("{} {}: fetch it again, or set data.path to another folder",
                                   path.string(), error.what));
    }
  }

  std::filesystem::path folder_;
  std::array<LeafPart, 2> parts_;
};

}  // namespace

std::unique_ptr<DatasetReader> open_leaf(const std::filesystem::path& folder) {
  return std::make_unique<LeafFormat>(folder);
}

}  // namespace fedselect::formats
