#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "ops/shapes.hpp"

namespace fedselect {

/// Labelled images: 8-bit pixels, channels-last, kept once per node in memory that its ranks share.
struct Samples {
  std::size_t size = 0;                      ///< number of samples
  std::shared_ptr<const std::byte> pixels;   ///< size * image.size() bytes
  std::shared_ptr<const std::byte> labels;   ///< size int32, in {0, ..., classes - 1}

  std::span<const std::int32_t> label_values() const {
    return {reinterpret_cast<const std::int32_t*>(labels.get()), size};
  }
};

/// A data set with its training and test part.
struct Dataset {
  std::string name;
  ops::ImageShape image;
  int classes = 0;
  std::vector<float> mean;       ///< per channel, of pixel / 255 over the training part
  std::vector<float> deviation;  ///< per channel, of pixel / 255 over the training part
  Samples train;
  Samples test;

  /// What the ops need to read the samples of one part.
  ops::SampleSource source(const Samples& part) const;
};

/// Reads the data set that the section [data] names (collective; one rank per node reads).
/// Throws InputError on a missing, truncated or wrong file: what is wrong, where, what to do.
struct DataConfig;
Dataset load_dataset(const DataConfig& config, Communicator& comm);

}  // namespace fedselect
