#pragma once

#include <optional>
#include <string>

#include "app/commands.hpp"

namespace fedselect {

/// Parses the command line and fills `request`. Returns an exit code where the program is done
/// already: help was printed, or the command line is wrong and the message is out.
///
/// Runs before MPI does: of several ranks only the first, going by the launcher's environment,
/// prints.
std::optional<int> parse_command_line(int argc, char** argv, Request& request);

/// For what is wrong alike on all ranks while MPI doesn't join them: the first one says so and gets
/// the exit code of bad input. The others get that of success: a launcher that sees another rank
/// fail may kill the first before it has spoken.
int refuse(const std::string& message);

}  // namespace fedselect
