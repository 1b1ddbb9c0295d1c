#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "data/formats/binary_file.hpp"
#include "data/formats/formats.hpp"

namespace fedselect::formats {

namespace {

constexpr std::size_t kSide = 32;
constexpr std::size_t kPlane = kSide * kSide;
constexpr std::size_t kChannels = 3;
constexpr std::size_t kPixels = kChannels * kPlane;
constexpr std::size_t kRecordsAtOnce = 1024;

/// Records of some label bytes, of which the last is the class, and 3 planes (red, green, blue) of
/// 32 x 32 pixels. Source: https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
class CifarFormat final : public DatasetReader {
 public:
  using Files = std::vector<std::filesystem::path>;

  CifarFormat(std::size_t label_bytes, Files train, Files test)
      : label_bytes_(label_bytes), files_{std::move(train), std::move(test)} {
    header_.image = {kSide, kSide, kChannels};
    for (const auto part : kParts)
      for (const auto& file : files(part))
        header_.samples[static_cast<std::size_t>(part)] += count_records(file);
  }

  void read_pixels(PartKind part, std::span<std::byte> pixels) override {
    auto* out = pixels.data();
    for_each_record(part, [&](const std::byte* record) {
      const auto* planes = record + label_bytes_;
      for (std::size_t i = 0; i < kPlane; ++i)
        for (std::size_t c = 0; c < kChannels; ++c) *out++ = planes[c * kPlane + i];
    });
  }

  void read_labels(PartKind part, std::span<std::int32_t> labels) override {
    auto* out = labels.data();
    for_each_record(part, [&](const std::byte* record) {
      *out++ = std::to_integer<std::int32_t>(record[label_bytes_ - 1]);
    });
  }

  std::string labels_origin(PartKind part) const override {
    return files(part).front().parent_path().string();
  }

 private:
  const Files& files(PartKind part) const { return files_[static_cast<std::size_t>(part)]; }
  std::size_t record_bytes() const { return label_bytes_ + kPixels; }

  std::uint64_t count_records(const std::filesystem::path& path) const {
    const BinaryFile file(path);
    if (file.size() == 0 || file.size() % record_bytes() != 0)
      file.refuse("is truncated or no file of the CIFAR binary version",
                  fmt::format("it has {} bytes, not a multiple of {}: {} of labels, {} pixels",
                              file.size(), record_bytes(), label_bytes_, kPixels));
    return file.size() / record_bytes();
  }

  template <class Action>
  void for_each_record(PartKind part, const Action& action) const {
    std::vector<std::byte> records;
    for (const auto& path : files(part)) {
      BinaryFile file(path);
      for (std::uint64_t at = 0; at < file.size(); at += records.size()) {
        records.resize(std::min<std::uint64_t>(kRecordsAtOnce * record_bytes(), file.size() - at));
        file.read(at, records);
        for (std::size_t i = 0; i < records.size(); i += record_bytes()) action(&records[i]);
      }
    }
  }

  std::size_t label_bytes_;
  std::array<Files, 2> files_;
};

}  // namespace

std::unique_ptr<DatasetReader> open_cifar10(const std::filesystem::path& folder) {
  CifarFormat::Files train;
  std::error_code ignored;
  do {
    train.push_back(folder / fmt::format("data_batch_{}.bin", train.size() + 1));
  } while (std::filesystem::exists(folder / fmt::format("data_batch_{}.bin", train.size() + 1),
                                   ignored));
  return std::make_unique<CifarFormat>(1, std::move(train),
                                       CifarFormat::Files{folder / "test_batch.bin"});
}

std::unique_ptr<DatasetReader> open_cifar100(const std::filesystem::path& folder) {
  return std::make_unique<CifarFormat>(2, CifarFormat::Files{folder / "train.bin"},
                                       CifarFormat::Files{folder / "test.bin"});
}

}  // namespace fedselect::formats
