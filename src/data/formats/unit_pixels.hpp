#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "data/resample.hpp"

namespace fedselect::formats {

/// The 8-bit pixel nearest to a brightness in [0, 1]; none for other numbers.
inline std::optional<std::uint8_t> pixel_of(double brightness) {
  if (!(brightness >= 0 && brightness <= 1)) return std::nullopt;
  return static_cast<std::uint8_t>(std::lround(brightness * kWhite));
}

}  // namespace fedselect::formats
