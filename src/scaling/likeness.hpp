#pragma once

#include <string>

#include "scaling/measurement.hpp"
#include "scaling/study.hpp"

namespace fedselect {

// Whether numbers may stand beside each other in one study. Each returns what differs, as the end
// of "it was measured ..."; empty: nothing.

/// Another repeat of a point, of the config and with the manifest of now. The device is not looked
/// at: it is known when the point's ranks have opened it.
std::string find_difference(const MeasuredPoint& before, const ScalingPoint& point,
                            const std::string& config, const std::string& manifest);
/// Another point of the same study: it differs in what the study varies, and in nothing else.
std::string find_difference(const ScalingStudy& study, const MeasuredPoint& first,
                            const MeasuredPoint& point);

}  // namespace fedselect
