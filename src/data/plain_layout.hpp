#pragma once

#include <cstdint>
#include <filesystem>

#include "data/dataset.hpp"
#include "data/partition.hpp"

namespace fedselect {

/// What the plain HDF5 layout of a data set calls itself; docs/data.md describes it.
inline constexpr const char* kPlainFormat = "fedselect-data";
inline constexpr std::int64_t kPlainVersion = 1;
inline constexpr const char* kGroupNames = "/groups/name";
inline constexpr const char* kGroupKind = "/groups/kind";

/// Writes a data set, and who owns which samples of it, in the plain HDF5 layout. The same data
/// give the same bytes. Throws SystemError where the file can't be written.
void write_plain_layout(const std::filesystem::path& file, const Dataset& data,
                        const Partition& partition);

}  // namespace fedselect
