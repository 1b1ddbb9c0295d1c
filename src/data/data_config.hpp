#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

enum class PartitionKind { shards, dirichlet, iid, quantity };
inline constexpr std::array<std::string_view, 4> kPartitionNames{"shards", "dirichlet", "iid",
                                                                 "quantity"};

/// A number of samples, where 0 stands for "as many as there are".
inline constexpr Interval kCountOrAll{.low = 0, .high = 2147483647};

/// The section [data]: where samples come from and how clients share them.
/// Source: algorithms.md, section 5.
struct DataConfig {
  std::string path = "/usr/share/datasets/fashion-mnist";  ///< folder of the four IDX files
  std::int64_t clients = 10;                               ///< N
  PartitionKind partition = PartitionKind::shards;
  std::int64_t classes_per_client = 2;  ///< s, for shards
  std::int64_t train_per_class = 0;     ///< per client and class, for shards; 0 = all
  std::int64_t test_per_class = 0;      ///< per client and class, for shards; 0 = all
  double beta = 0.5;                    ///< concentration, for dirichlet and quantity
  std::int64_t min_samples =
      10;  ///< least training samples of a client, for dirichlet and quantity
};

/// Declares the section's keys.
void describe(DataConfig& config, Fields& fields);

}  // namespace fedselect
