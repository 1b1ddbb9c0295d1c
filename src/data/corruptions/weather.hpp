#pragma once

#include "base/random.hpp"
#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

/// Each by severity 1 to 5.
///
/// Flakes blown into streaks, the same turned by 180 degrees, and a whiter picture.
void add_snow(Image& image, int severity, RandomStream& random);
/// A sheet of ice over the picture. The published program pastes crops of photographs, which can't
/// be distributed: the sheet here is drawn (ridges of noise, 8, 4 and 2 pixels apart), mixed with
/// the published weights.
void add_frost(Image& image, int severity, RandomStream& random);
/// A plasma fractal (diamond-square on a torus), and less contrast.
void add_fog(Image& image, int severity, RandomStream& random);

}  // namespace fedselect::corruptions
