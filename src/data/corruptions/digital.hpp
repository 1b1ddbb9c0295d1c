#pragma once

#include "base/random.hpp"
#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

/// Each by severity 1 to 5.
///
/// Sheared by a random affine map, then each place shifted by smoothed noise.
void stretch(Image& image, int severity, RandomStream& random);
/// These two work on 8 bits.
Picture pixelate(const Picture& picture, int severity);
Picture compress(const Picture& picture, int severity);

}  // namespace fedselect::corruptions
