#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/data_config.hpp"

namespace fedselect {

/// Which samples each client owns. Both splits of a client follow the same class mix.
///
/// Every client has at least one training and one test sample. Unless it was read from a file, no
/// sample belongs to two clients, and a client's indices ascend.
struct Partition {
  using Indices = std::vector<std::int32_t>;  ///< into the data set's part
  std::vector<Indices> train;                 ///< one entry a client
  std::vector<Indices> test;

  std::size_t clients() const { return train.size(); }
};

/// Draws a partition of the kinds shards, dirichlet, iid, quantity from (seed, Purpose::partition)
/// alone: every rank gets the same one. No sample belongs to two clients; indices ascend. Labels
/// are those of the data set's training and test part, in {0, ..., classes - 1}. Throws InputError
/// where the request can't be met: which key, why, and values that would do.
///
/// Source: algorithms.md, section 5. Where it is silent:
/// - `shards`: all classes have equally many shards, s*N/C, so N*s must be a multiple of C. A
/// shuffled
///   table of labels gives client k the classes table[k*s .. k*s+s-1]; one class may stand there
///   twice. Both splits use one table, each with its own random shards. Shards of a class differ by
///   at most one sample. With `train_per_class` (`test_per_class`) a client has exactly that many
///   samples of each class that it holds: the first ones of its (first) shard of that class.
/// - `dirichlet`: the training part as written. Test samples of a class go to the clients in
/// proportion
///   to its training samples, by largest remainders (equal ones: lower client first); those of a
///   class without training samples go to nobody. A draw counts if every client has `min_samples`
///   training samples and a test sample; kMostDraws without one is an error.
/// - `iid`: sizes differ by at most one, the first clients have more.
/// - `quantity`: every client gets `min_samples`; the rest is shared by Dir(beta 1_N). (Drawing
/// again
///   until all have enough, as for `dirichlet`, would hardly ever end: one of 100 clients is nearly
///   always tiny.) Test sizes are proportional to training sizes by largest remainders; clients
///   that would get none take one from the client that then has the most.
Partition draw_partition(const DataConfig& config, std::uint64_t seed, int classes,
                         std::span<const std::int32_t> train_labels,
                         std::span<const std::int32_t> test_labels);

/// Draws of a `dirichlet` partition before giving up.
inline constexpr std::uint32_t kMostDraws = 1000;

/// counts[k * classes + c] = samples of class c that client k owns.
std::vector<std::int64_t> class_counts(const std::vector<Partition::Indices>& split, int classes,
                                       std::span<const std::int32_t> labels);

}  // namespace fedselect
