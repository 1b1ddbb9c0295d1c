#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/hdf5_bytes.hpp"

namespace fedselect::hdf5 {

/// The link messages of a group with many links in the form that came with HDF5 1.8: in a fractal
/// heap [III.G], found by the records of a version 2 B-tree [III.A.2]. Sources and errors as in
/// hdf5_objects.hpp.
std::vector<std::string> read_dense_links(const FileBytes& file, std::uint64_t heap,
                                          std::uint64_t tree);

}  // namespace fedselect::hdf5
