#pragma once

#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

/// Each by severity 1 to 5.
void brighten(Image& image, int severity);
/// Only for three channels.
void saturate(Image& image, int severity);
void reduce_contrast(Image& image, int severity);

}  // namespace fedselect::corruptions
