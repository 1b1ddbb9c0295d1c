#pragma once

#include <cstdint>

#include "data/dataset.hpp"
#include "data/partition.hpp"

namespace fedselect {

/// Collective: a fingerprint of all samples as clients see them, and of who has which, the same on
/// every rank.
std::uint64_t fingerprint(const Dataset& data, const Partition& partition, Communicator& comm);

}  // namespace fedselect
