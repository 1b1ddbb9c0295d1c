#pragma once

#include <string>

namespace fedselect {

/// From now on SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 ask this process to stop in order; a second one
/// ends it at once, with exit code 128 + its number.
void watch_stop_signals();

/// Whether this process was asked to stop.
bool stop_requested();

/// Which signal asked, "SIGUSR1"; empty: none did.
std::string stop_signal();

}  // namespace fedselect
