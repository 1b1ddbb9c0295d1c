#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "base/error.hpp"
#include "comm/communicator.hpp"

namespace fedselect {

/// A failure that all ranks have alike: the job can end in order, with one message.
class AgreedError : public std::runtime_error {
 public:
  AgreedError(ExitCode exit_code, const std::string& message)
      : std::runtime_error(message), exit_code_(exit_code) {}
  ExitCode exit_code() const { return exit_code_; }

 private:
  ExitCode exit_code_;
};

/// Collective: a phase after which all ranks go on, or all throw the same AgreedError, whichever
/// failed. No rank may wait in `action` for one that failed.
void together(Communicator& comm, const std::function<void()>& action);

/// Runs `command` and returns the program's exit code. AgreedError: the root says its message.
/// Anything else on one of several ranks: that rank says its message and ends all ranks at once.
/// Never throws.
int run_guarded(Communicator& comm, const std::function<void()>& command);

/// Collective: from now on the job ends, with a message, when a rank is quiet for too long.
void watch_ranks(MpiSession& mpi, const WatchLimits& limits);

/// Prints "fedselect: message" to stderr.
void say_failure(const std::string& message);

}  // namespace fedselect
