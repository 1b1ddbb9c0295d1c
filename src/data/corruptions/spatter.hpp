#pragma once

#include "base/random.hpp"
#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

/// Drops on the lens: of water, lit from one side, at severities 1 to 3; of mud at 4 and 5.
void add_spatter(Image& image, int severity, RandomStream& random);

}  // namespace fedselect::corruptions
