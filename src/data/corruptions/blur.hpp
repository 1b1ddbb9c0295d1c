#pragma once

#include "base/random.hpp"
#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

/// Each by severity 1 to 5.
void blur_gaussian(Image& image, int severity);
/// A disk, as a lens out of focus makes of a point.
void blur_defocus(Image& image, int severity);
/// Pixels take the place of a near one above or to the left, between two Gaussians. The published
/// program means to swap the two, but overwrites the first one before it is copied.
void blur_glass(Image& image, int severity, RandomStream& random);
/// Streaks of one direction, drawn within 45 degrees of the horizontal.
void blur_motion(Image& image, int severity, RandomStream& random);
/// The mean over magnifications, the image itself counted twice.
void blur_zoom(Image& image, int severity);

}  // namespace fedselect::corruptions
