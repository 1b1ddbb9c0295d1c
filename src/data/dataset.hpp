#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/data_config.hpp"
#include "ops/shapes.hpp"

namespace fedselect {

/// Labelled images: 8-bit pixels, channels-last, kept once per node in memory that its ranks share.
struct Samples {
  std::size_t size = 0;                     ///< number of samples
  std::shared_ptr<const std::byte> pixels;  ///< size * image.size() bytes
  std::shared_ptr<const std::byte> labels;  ///< size int32, in {0, ..., classes - 1}

  std::span<const std::int32_t> label_values() const {
    return {reinterpret_cast<const std::int32_t*>(labels.get()), size};
  }
};

/// A data set with its training and test part.
struct Dataset {
  std::string name;  ///< the folder's name
  ops::ImageShape image;
  int classes = 0;               ///< largest training label + 1
  std::vector<float> mean;       ///< per channel, of pixel / 255 over the training part
  std::vector<float> deviation;  ///< likewise (1/n, not 1/(n - 1)); 1 for a constant channel
  Samples train;
  Samples test;

  /// What the ops need to read the samples of one part. Valid as long as this data set.
  ops::SampleSource source(const Samples& part) const;
};

/// Reads the data set that the section [data] names (collective; one rank per node reads): the
/// files {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz] of its folder; images are
/// [n][height][width].
///
/// Throws InputError on all ranks if on any node a file is missing, truncated or wrong, or if the
/// four files don't fit together: what is wrong, where, what to do.
Dataset load_dataset(const DataConfig& config, Communicator& comm);

/// The data set in some lines of text: name, parts, image shape, classes, samples per class, mean
/// and deviation. For the command `fedselect data info`.
std::string describe_dataset(const Dataset& dataset);

}  // namespace fedselect
