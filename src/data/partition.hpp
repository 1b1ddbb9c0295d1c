#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/data_config.hpp"

namespace fedselect {

/// Which samples each client owns. Both splits of a client follow the same class mix.
///
/// Drawn from (seed, Purpose::partition) alone: every rank computes the same one, and no sample belongs to two clients.
struct Partition {
  using Indices = std::vector<std::int32_t>;  ///< into the data set's part
  std::vector<Indices> train;                 ///< one entry a client
  std::vector<Indices> test;

  std::size_t clients() const { return train.size(); }
};

/// Draws the partition. Labels are those of the data set's training and test part, in {0, ..., classes - 1}.
/// Throws InputError where the request can't be met (more shards than samples, no draw with min_samples, ...).
/// Source: algorithms.md, section 5.
Partition draw_partition(const DataConfig& config, std::uint64_t seed, int classes,
                         std::span<const std::int32_t> train_labels,
                         std::span<const std::int32_t> test_labels);

/// counts[k * classes + c] = samples of class c that client k owns.
std::vector<std::int64_t> class_counts(const std::vector<Partition::Indices>& split, int classes,
                                       std::span<const std::int32_t> labels);

}  // namespace fedselect
