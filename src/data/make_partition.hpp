#pragma once

#include <cstdint>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"

namespace fedselect {

/// Who owns which samples of `data`, as the section [data] asks: drawn (see draw_partition), by the
/// data set's own groups ("natural", "domain"), or from a file (see read_partition_file).
/// Collective; the same on every rank. Throws InputError on all ranks where the request can't be
/// met.
///
/// By groups: one client a group that has a training and a test sample, in the order of their
/// names; with data.clients = n > 0 the first n of them. A client's indices ascend.
Partition make_partition(const DataConfig& config, std::uint64_t seed, const Dataset& data,
                         Communicator& comm);

}  // namespace fedselect
