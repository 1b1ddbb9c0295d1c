#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "data/dataset_reader.hpp"

namespace fedselect::formats {

/// A run of samples that stand one after another and belong to one group.
struct GroupRun {
  std::string group;
  std::uint64_t samples = 0;
};

/// The runs of both parts, in the order of the samples.
using GroupRuns = std::array<std::vector<GroupRun>, 2>;

/// Sets the header's samples and groups: names of both parts, each once, ascending by bytes.
inline void set_groups(DatasetHeader& header, GroupKind kind, const GroupRuns& runs) {
  std::set<std::string> names;
  header.samples = {};
  for (std::size_t part = 0; part < runs.size(); ++part)
    for (const auto& run : runs[part]) {
      names.insert(run.group);
      header.samples[part] += run.samples;
    }
  header.group_kind = kind;
  header.groups.assign(names.begin(), names.end());
}

/// Fills the group of each sample.
inline void fill_groups(const DatasetHeader& header, const std::vector<GroupRun>& runs,
                        std::span<std::int32_t> groups) {
  auto out = groups.begin();
  for (const auto& run : runs) {
    const auto at = std::lower_bound(header.groups.begin(), header.groups.end(), run.group);
    out = std::fill_n(out, run.samples, static_cast<std::int32_t>(at - header.groups.begin()));
  }
}

}  // namespace fedselect::formats
