#pragma once

namespace fedselect {

/// Prints version, revision, compiler, libraries and device.
void print_version();

}  // namespace fedselect
