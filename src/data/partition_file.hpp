#pragma once

#include <cstdint>
#include <filesystem>

#include "data/partition.hpp"

namespace fedselect {

/// Reads who owns which samples from an HDF5 file: /partition/{train,test}_{indices,offsets}, as
/// every result file holds them (docs/result-format.md); client k owns indices[offsets[k] ..
/// offsets[k + 1]).
///
/// The order of a client's indices is kept, so with train.shuffle = false any program can say in
/// which order samples are trained. A sample may belong to several clients, but not twice to one.
/// Throws InputError where the file isn't that, an index is outside {0, ..., size - 1}, or a client
/// has no sample of a part.
Partition read_partition_file(const std::filesystem::path& file, std::size_t train_size,
                              std::size_t test_size);

}  // namespace fedselect
