#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_config.hpp"
#include "ops/shapes.hpp"

namespace fedselect {

/// The two parts of a data set; the value indexes arrays of both.
enum class PartKind : std::size_t { train = 0, test = 1 };
inline constexpr std::array<std::string_view, 2> kPartNames{"train", "test"};
inline constexpr std::array kParts{PartKind::train, PartKind::test};

/// What the groups into which a data set sorts its samples stand for.
enum class GroupKind : std::size_t { none = 0, client = 1, domain = 2 };
inline constexpr std::array<std::string_view, 3> kGroupKindNames{"none", "client", "domain"};

/// What a reader knows of a data set before it reads samples.
struct DatasetHeader {
  ops::ImageShape image;
  std::array<std::uint64_t, 2> samples{};  ///< of training and test part, neither 0
  GroupKind group_kind = GroupKind::none;
  std::vector<std::string> groups;  ///< their names; empty if there are none

  std::uint64_t size(PartKind part) const { return samples[static_cast<std::size_t>(part)]; }
  bool operator==(const DatasetHeader&) const = default;
};

/// A data set in files of some format.
///
/// The constructor of a format opens what it needs and sets the header; nothing is allocated for
/// sizes that files claim and can't hold. Any failure, then or later, is an InputError: file, what
/// is wrong with it, what to do. Values are checked later, by load_dataset(): labels and group
/// numbers may be any integer here.
class DatasetReader {
 public:
  virtual ~DatasetReader() = default;
  DatasetReader() = default;
  DatasetReader(const DatasetReader&) = delete;
  DatasetReader& operator=(const DatasetReader&) = delete;

  const DatasetHeader& header() const { return header_; }

  /// Fills `pixels`, size(part) * image.size() bytes: [sample][row][column][channel], 0 to 255.
  virtual void read_pixels(PartKind part, std::span<std::byte> pixels) = 0;
  /// Fills `labels`, size(part) class numbers.
  virtual void read_labels(PartKind part, std::span<std::int32_t> labels) = 0;
  /// Fills `groups`, size(part) indices into header().groups. Only where there are groups.
  virtual void read_groups(PartKind part, std::span<std::int32_t> groups);
  /// The file that holds the labels of a part, for messages.
  virtual std::string labels_origin(PartKind part) const = 0;

 protected:
  DatasetHeader header_;
};

/// Opens data.path in the format that data.format names; "auto" looks at what is there. Throws
/// InputError, also where no format fits: what was looked for.
std::unique_ptr<DatasetReader> open_dataset(const DataConfig& config);

}  // namespace fedselect
