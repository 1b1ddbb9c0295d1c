#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

// Values as TOML writes them.

std::string quote(std::string_view text);
/// The shortest text that reads back as the same number, and as a floating-point one.
std::string write_real(double value);

/// An interval in words for users: "in (0, 1]", ">= 0".
std::string describe_interval(const Interval& range);

}  // namespace fedselect
