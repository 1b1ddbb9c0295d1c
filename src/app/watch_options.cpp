#include "app/watch_options.hpp"

#include <unistd.h>

#include <chrono>

#include "app/option_checks.hpp"

namespace fedselect {

void add_watch_options(CLI::App& command, WatchLimits& limits) {
  using Seconds = std::chrono::duration<double>;
  const auto add = [&](const char* name, auto set, const char* what) {
    command
        .add_option_function<double>(
            name, [set](double seconds) { set(Seconds(seconds)); }, what)
        ->type_name("SECONDS")
        ->check(number_between(0, 1e6));
  };
  add(
      "--silence-limit", [&limits](Seconds limit) { limits.silence = limit; },
      "end the job when a rank gives no sign of life for so long; 0 = never, and ranks that all "
      "wait for each other aren't noticed either (default: 7)");
  add(
      "--stall-limit", [&limits](Seconds limit) { limits.stall = limits.batch = limit; },
      "end the job when the work of a rank stands still, or all ranks wait for each other, for so "
      "long; 0 = never (default: 600, and in arithmetic 8, or ten times its longest batch)");
}

RunLog::Voice choose_voice(bool quiet, const Communicator& comm) {
  if (!comm.is_root()) return RunLog::Voice::mute;
  if (quiet) return RunLog::Voice::quiet;
  return isatty(STDERR_FILENO) != 0 ? RunLog::Voice::terminal : RunLog::Voice::lines;
}

}  // namespace fedselect
