#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/hdf5_messages.hpp"

namespace fedselect::hdf5 {

/// A chunk's values from what is stored of it: undoes the filters, the last one first, but those
/// whose bit in `unfiltered` says that they were left out. `size`: bytes of the values. Never holds
/// more than a few bytes more than that or than `stored`. Errors as in hdf5_objects.hpp.
std::string undo_filters(const std::vector<Filter>& filters, std::uint32_t unfiltered,
                         std::string stored, std::uint64_t size);

}  // namespace fedselect::hdf5
