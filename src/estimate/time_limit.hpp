#pragma once

#include <optional>
#include <string>

namespace fedselect {

/// Seconds of a job's limit as Slurm writes them: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S, where minutes
/// and seconds behind something greater are below 60. None: the text is no such limit.
std::optional<double> parse_time_limit(const std::string& text);

}  // namespace fedselect
