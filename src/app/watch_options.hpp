#pragma once

#include <CLI/CLI.hpp>

#include "app/run_log.hpp"
#include "comm/communicator.hpp"

namespace fedselect {

/// Declares --silence-limit and --stall-limit.
void add_watch_options(CLI::App& command, WatchLimits& limits);

/// How much of a job's progress this rank tells.
RunLog::Voice choose_voice(bool quiet, const Communicator& comm);

}  // namespace fedselect
