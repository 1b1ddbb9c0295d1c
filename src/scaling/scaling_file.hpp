#pragma once

#include <filesystem>
#include <vector>

#include "scaling/measurement.hpp"
#include "scaling/study.hpp"

namespace fedselect {

/// Writes the measures of a study, or of some of its points, and what they come to as an HDF5 file
/// (docs/study-formats.md#scalingh5), which takes its name when it is whole. All points have as
/// many repeats, one at least. Throws SystemError.
void write_scaling(const std::filesystem::path& path, const ScalingStudy& study,
                   const std::vector<MeasuredPoint>& points);

/// The measures in such a file, of all repeats or, where the study was cut off, of some. Throws
/// InputError if it is not one, or of a study that has another text.
std::vector<MeasuredPoint> read_scaling(const std::filesystem::path& path,
                                        const ScalingStudy& study);

}  // namespace fedselect
