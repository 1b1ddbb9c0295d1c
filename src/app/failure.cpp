#include "app/failure.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>

namespace fedselect {

void say_failure(const std::string& message) {
  fmt::print(stderr, "fedselect: {}\n", message);
  std::fflush(stderr);
}

void together(Communicator& comm, const std::function<void()>& action) {
  try {
    agree(comm, action);
  } catch (const InputError& error) {
    throw AgreedError(kExitBadInput, error.what());
  } catch (const SystemError& error) {
    throw AgreedError(kExitFailure, error.what());
  }
}

namespace {

void say_own_failure(const Communicator& comm, const std::string& message) {
  say_failure(comm.size() > 1 ? fmt::format("rank {}: {}", comm.rank(), message) : message);
}

/// A failure of this rank alone. Of several ranks, none outlives it.
int end_all(Communicator& comm, ExitCode exit_code, const std::string& message) {
  say_own_failure(comm, message);
  if (comm.size() > 1) comm.abort(exit_code);
  return exit_code;
}

}  // namespace

int run_guarded(Communicator& comm, const std::function<void()>& command) {
  try {
    command();
    return kExitSuccess;
  } catch (const AgreedError& error) {
    if (comm.is_root()) say_failure(error.what());
    return error.exit_code();
  } catch (const InputError& error) {
    return end_all(comm, kExitBadInput, error.what());
  } catch (const std::exception& error) {
    return end_all(comm, kExitFailure, error.what());
  }
}

void watch_ranks(MpiSession& mpi, const WatchLimits& limits) {
  Communicator& world = mpi.world();
  const bool is_whole = mpi.watch(limits, [&world](const std::string& what) {
    say_own_failure(world, what);
    world.abort(kExitFailure);
  });
  if (!is_whole && world.is_root())
    say_failure(
        "warning: this MPI library has no threads (MPI_THREAD_MULTIPLE), so a rank that stops is "
        "not noticed");
}

}  // namespace fedselect
