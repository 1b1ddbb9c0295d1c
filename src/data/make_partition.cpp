#include "data/make_partition.hpp"

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "data/partition_file.hpp"

namespace fedselect {

namespace {

using Indices = Partition::Indices;
using Split = std::vector<Indices>;

/// The root's split on all ranks.
void broadcast(Split& split, Communicator& comm) {
  std::vector<std::int32_t> numbers{static_cast<std::int32_t>(split.size())};
  for (const auto& indices : split) numbers.push_back(static_cast<std::int32_t>(indices.size()));
  for (const auto& indices : split) numbers.insert(numbers.end(), indices.begin(), indices.end());
  const auto view = bytes_of(numbers);
  std::vector<std::byte> bytes(view.begin(), view.end());
  comm.broadcast(bytes, 0);
  numbers.resize(bytes.size() / sizeof(std::int32_t));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  auto size = numbers.cbegin();
  split.resize(static_cast<std::size_t>(*size++));
  auto next = size + static_cast<std::ptrdiff_t>(split.size());
  for (auto& indices : split) {
    indices.assign(next, next + *size);
    next += *size++;
  }
}

/// Only the root reads: thousands of ranks would burden the file system.
Partition read_on_root(const DataConfig& config, const Dataset& data, Communicator& comm) {
  Partition partition;
  agree(comm, [&] {
    if (!comm.is_root()) return;
    partition = read_partition_file(config.partition_file, data.train.size, data.test.size);
  });
  broadcast(partition.train, comm);
  broadcast(partition.test, comm);
  const auto found = static_cast<std::int64_t>(partition.clients());
  if (config.clients != 0 && config.clients != found)
    throw KeyError("data.clients",
                   fmt::format("data.clients = {} is not the {} clients of {}: remove the key, "
                               "or set it to {}",
                               config.clients, found, config.partition_file, found));
  return partition;
}

Split split_by_group(const Samples& part, std::size_t groups) {
  Split split(groups);
  const auto numbers = part.group_values();
  for (std::size_t i = 0; i < numbers.size(); ++i)
    split[static_cast<std::size_t>(numbers[i])].push_back(static_cast<std::int32_t>(i));
  return split;
}

void check_group_kind(const DataConfig& config, const Dataset& data) {
  const auto wanted =
      config.partition == PartitionKind::natural ? GroupKind::client : GroupKind::domain;
  if (data.group_kind == wanted) return;
  const auto word = [](GroupKind kind) { return kGroupKindNames[static_cast<std::size_t>(kind)]; };
  const auto name = kPartitionNames[static_cast<std::size_t>(config.partition)];
  if (data.group_kind == GroupKind::none)
    throw KeyError(
        "data.partition",
        fmt::format(
            "data.partition = \"{}\" needs a data set that says of which {} each sample is ({} "
            "doesn't): "
            "set it to \"dirichlet\", \"shards\", \"iid\" or \"quantity\", or take another data "
            "set",
            name, word(wanted), config.path));
  throw KeyError(
      "data.partition",
      fmt::format(
          "data.partition = \"{}\" needs {}s, but the groups of {} are {}s: set it to \"{}\"", name,
          word(wanted), config.path, word(data.group_kind),
          data.group_kind == GroupKind::client ? "natural" : "domain"));
}

Partition follow_groups(const DataConfig& config, const Dataset& data) {
  check_group_kind(config, data);
  auto train = split_by_group(data.train, data.groups.size());
  auto test = split_by_group(data.test, data.groups.size());
  Partition partition;
  for (std::size_t g = 0; g < train.size(); ++g) {
    if (train[g].empty() || test[g].empty()) continue;
    if (config.clients > 0 && static_cast<std::int64_t>(partition.clients()) == config.clients)
      break;
    partition.train.push_back(std::move(train[g]));
    partition.test.push_back(std::move(test[g]));
  }
  const auto found = static_cast<std::int64_t>(partition.clients());
  if (found == 0)
    throw KeyError(
        "data.partition",
        fmt::format("{} has no {} with a training and a test sample (of {}): take "
                    "another data.partition",
                    config.path, kGroupKindNames[static_cast<std::size_t>(data.group_kind)],
                    data.groups.size()));
  if (found < config.clients)
    throw KeyError("data.clients",
                   fmt::format("data.clients = {} is more than the {} {}s of {} that have a "
                               "training and a test sample: set it to {} or less",
                               config.clients, found,
                               kGroupKindNames[static_cast<std::size_t>(data.group_kind)],
                               config.path, found));
  return partition;
}

}  // namespace

Partition make_partition(const DataConfig& config, std::uint64_t seed, const Dataset& data,
                         Communicator& comm) {
  if (config.partition == PartitionKind::file) return read_on_root(config, data, comm);
  if (clients_come_with_data(config.partition)) return follow_groups(config, data);
  return draw_partition(config, seed, data.classes, data.train.label_values(),
                        data.test.label_values());
}

}  // namespace fedselect
