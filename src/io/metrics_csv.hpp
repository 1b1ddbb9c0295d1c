#pragma once

#include <string>

#include "fed/record.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

// metrics.csv (docs/result-format.md): a line a round, over the cohort.

/// The first line.
extern const char* const kMetricsHeader;
/// The line of a round of all clients. `seconds`: its wall time.
std::string metrics_row(const ParameterLayout& layout, const RoundRecord& round, double seconds);

}  // namespace fedselect
