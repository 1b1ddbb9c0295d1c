#pragma once

#include "base/random.hpp"
#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

/// Each value on its own, severity 1 to 5.
void add_gaussian_noise(Image& image, int severity, RandomStream& random);
void add_shot_noise(Image& image, int severity, RandomStream& random);
void add_impulse_noise(Image& image, int severity, RandomStream& random);
void add_speckle_noise(Image& image, int severity, RandomStream& random);

}  // namespace fedselect::corruptions
