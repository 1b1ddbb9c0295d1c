#pragma once

#include <optional>

#include "app/commands.hpp"

namespace fedselect {

/// Parses the command line and fills `request`. Returns an exit code where the program is done
/// already: help was printed, or the command line is wrong and the message is out.
///
/// Runs before MPI does: of several ranks only the first, going by the launcher's environment,
/// prints.
std::optional<int> parse_command_line(int argc, char** argv, Request& request);

/// Whether this process is the first rank of a job, or alone, going by the launcher's environment.
bool is_first_rank();

}  // namespace fedselect
