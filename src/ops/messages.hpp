#pragma once

#include <cstddef>
#include <string>

#include "ops/ops.hpp"

namespace fedselect::ops {

/// What select_top says of a score that is not a number.
std::string score_not_a_number(int client, std::size_t range_number, const Range& range);

}  // namespace fedselect::ops
