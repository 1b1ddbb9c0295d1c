#pragma once

#include <cstdint>

#include "fed/algorithm.hpp"

namespace fedselect {

// What a client and the server send each other in a round, in bytes: docs/decisions/0006.

/// To a client of whose values, statistics included, `personal` are personal.
std::int64_t bytes_to_client(const ParameterLayout& layout, const Algorithm& algorithm,
                             std::int64_t personal);
/// From such a client. `sends_mask`: it searched its mask, which changed.
std::int64_t bytes_from_client(const ParameterLayout& layout, const Algorithm& algorithm,
                               std::int64_t personal, bool sends_mask);
/// Either way where the whole model is sent and nothing else.
std::int64_t bytes_of_model(const ParameterLayout& layout);

}  // namespace fedselect
