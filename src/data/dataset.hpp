#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/data_config.hpp"
#include "data/dataset_reader.hpp"
#include "ops/shapes.hpp"

namespace fedselect {

/// Labelled images: 8-bit pixels, channels-last, kept once per node in memory that its ranks share.
struct Samples {
  std::size_t size = 0;                     ///< number of samples
  std::shared_ptr<const std::byte> pixels;  ///< size * image.size() bytes
  std::shared_ptr<const std::byte> labels;  ///< size int32, in {0, ..., classes - 1}
  std::shared_ptr<const std::byte> groups;  ///< size int32, the group of each; null without groups

  std::span<const std::int32_t> label_values() const {
    return {reinterpret_cast<const std::int32_t*>(labels.get()), size};
  }
  /// Indices into Dataset::groups. Only where there are groups.
  std::span<const std::int32_t> group_values() const {
    return {reinterpret_cast<const std::int32_t*>(groups.get()), size};
  }
};

/// A data set with its training and test part.
struct Dataset {
  std::string name;  ///< the folder's (or file's) name
  ops::ImageShape image;
  int classes = 0;               ///< largest training label + 1
  std::vector<float> mean;       ///< per channel, of pixel / 255 over the training part
  std::vector<float> deviation;  ///< likewise (1/n, not 1/(n - 1)); 1 for a constant channel
  Samples train;
  Samples test;
  GroupKind group_kind = GroupKind::none;  ///< what `groups` are
  std::vector<std::string> groups;         ///< names of natural clients or domains

  /// What the ops need to read the samples of one part. Valid as long as this data set.
  ops::SampleSource source(const Samples& part) const;
  /// Of all pixels and labels.
  std::size_t bytes() const {
    return (train.size + test.size) * (image.size() + sizeof(std::int32_t));
  }
  const Samples& part(PartKind kind) const { return kind == PartKind::train ? train : test; }
  Samples& part(PartKind kind) { return kind == PartKind::train ? train : test; }
};

/// Reads the data set that the section [data] names (collective; one rank per node reads). Formats
/// are described in docs/data.md.
///
/// Throws InputError on all ranks if on any node a file is missing, truncated or wrong, if the
/// files don't fit together, or if a part needs more memory than a node has: what is wrong, where,
/// what to do.
Dataset load_dataset(const DataConfig& config, Communicator& comm);

/// Sets mean and deviation from the pixels of the training part. Exact, so the same anywhere.
void measure_pixels(Dataset& dataset);

/// The data set in some lines of text: name, parts, image shape, classes, groups, samples per
/// class, mean and deviation. For the command `fedselect data info`.
std::string describe_dataset(const Dataset& dataset);

}  // namespace fedselect
