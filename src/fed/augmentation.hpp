#pragma once

#include <cstdint>
#include <span>

#include "base/random.hpp"
#include "ops/shapes.hpp"

namespace fedselect {

/// How training shows a sample: not twice alike.
struct AugmentationConfig {
  std::int64_t crop_padding = 0;  ///< pixels of padding on each side, then a random crop; 0 = off
  bool flip = false;              ///< left and right swapped, with probability 1/2

  bool any() const { return crop_padding > 0 || flip; }
};

/// Draws a placement for each sample of a pass, in the order of the pass: dy and dx uniform in
/// {-crop_padding, ..., crop_padding}, then the flip.
void draw_placements(const AugmentationConfig& config, RandomStream& random,
                     std::span<ops::Placement> placements);

}  // namespace fedselect
