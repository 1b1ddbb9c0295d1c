#include "data/partition_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "files/hdf5_reader.hpp"

namespace fedselect {

namespace {

using Indices = Partition::Indices;

/// Checks one client's indices and narrows them.
class ClientReader {
 public:
  ClientReader(const hdf5::Reader& file, std::string name, std::size_t part_size)
      : file_(file), name_(std::move(name)), owner_(part_size, kNobody) {}

  Indices read(std::span<const std::int64_t> wide, std::size_t client) {
    Indices indices;
    indices.reserve(wide.size());
    for (const auto index : wide) {
      if (index < 0 || static_cast<std::size_t>(index) >= owner_.size())
        file_.refuse(name_, fmt::format("client {} has sample {}, but the part of the data set has "
                                        "{} samples, from 0",
                                        client, index, owner_.size()));
      auto& owner = owner_[static_cast<std::size_t>(index)];
      if (owner == static_cast<std::int64_t>(client))
        file_.refuse(name_, fmt::format("client {} has sample {} twice", client, index));
      owner = static_cast<std::int64_t>(client);
      indices.push_back(static_cast<std::int32_t>(index));
    }
    return indices;
  }

 private:
  static constexpr std::int64_t kNobody = -1;

  const hdf5::Reader& file_;
  std::string name_;
  std::vector<std::int64_t> owner_;  ///< of each sample: the last client that had it
};

void check_axis(const hdf5::Reader& file, const std::string& name) {
  if (file.shape(name).size() != 1) file.refuse(name, "must be a list of numbers, one axis");
}

std::vector<Indices> read_split(const hdf5::Reader& file, const std::string& part,
                                std::size_t part_size) {
  const auto indices_name = "/partition/" + part + "_indices";
  const auto offsets_name = "/partition/" + part + "_offsets";
  check_axis(file, indices_name);
  check_axis(file, offsets_name);
  const auto indices = file.read<std::int64_t>(indices_name);
  const auto offsets = file.read<std::int64_t>(offsets_name);
  const auto count = static_cast<std::int64_t>(indices.size());
  if (offsets.size() < 2) file.refuse(offsets_name, "must have a number a client and one more");
  if (offsets.front() != 0 || offsets.back() != count)
    file.refuse(offsets_name, fmt::format("must go from 0 to {}, the number of indices, but goes "
                                          "from {} to {}",
                                          count, offsets.front(), offsets.back()));
  std::vector<Indices> split;
  ClientReader reader(file, indices_name, part_size);
  for (std::size_t k = 0; k + 1 < offsets.size(); ++k) {
    const auto begin = offsets[k];
    const auto end = offsets[k + 1];
    if (begin > end || end > count)
      file.refuse(offsets_name, fmt::format("must ascend, but client {} goes from {} to {} of {}",
                                            k, begin, end, count));
    if (begin == end) file.refuse(offsets_name, fmt::format("client {} has no {} sample", k, part));
    split.push_back(reader.read(std::span(indices).subspan(static_cast<std::size_t>(begin),
                                                           static_cast<std::size_t>(end - begin)),
                                k));
  }
  return split;
}

}  // namespace

Partition read_partition_file(const std::filesystem::path& path, std::size_t train_size,
                              std::size_t test_size) {
  const hdf5::Reader file(
      path, "write it for this data set (docs/data.md), or set data.partition_file to another");
  Partition partition{read_split(file, "train", train_size), read_split(file, "test", test_size)};
  if (partition.train.size() != partition.test.size())
    file.refuse("/partition/test_offsets",
                fmt::format("has {} clients, train_offsets has {}", partition.test.size(),
                            partition.train.size()));
  return partition;
}

}  // namespace fedselect
