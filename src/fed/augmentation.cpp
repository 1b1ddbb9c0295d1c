#include "fed/augmentation.hpp"

namespace fedselect {

void draw_placements(const AugmentationConfig& config, RandomStream& random,
                     std::span<ops::Placement> placements) {
  const auto offsets = static_cast<std::uint64_t>(2 * config.crop_padding + 1);
  const auto draw_offset = [&] {
    return static_cast<std::int16_t>(static_cast<std::int64_t>(random.below(offsets)) -
                                     config.crop_padding);
  };
  for (ops::Placement& placement : placements) {
    placement = {};
    if (config.crop_padding > 0) {
      placement.dy = draw_offset();
      placement.dx = draw_offset();
    }
    if (config.flip) placement.flip = random.below(2) == 1;
  }
}

}  // namespace fedselect
