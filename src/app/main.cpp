#include <exception>

#include "app/command_line.hpp"
#include "app/failure.hpp"
#include "app/launcher.hpp"
#include "base/heap.hpp"

using namespace fedselect;

int main(int argc, char** argv) {
  return_long_arrays();
  try {
    launch();  // read before MPI starts
    Request request;
    if (const auto exit_code = parse_command_line(argc, argv, request)) return *exit_code;
    if (request.alone) {
      if (!launch().is_first) return kExitSuccess;
      return run_guarded(*make_self_communicator(), request.alone);
    }
    MpiSession mpi(argc, argv);
    if (const auto wrong = find_apart(mpi.world()); !wrong.empty()) return refuse(wrong);
    watch_ranks(mpi, request.limits);
    return run_guarded(mpi.world(), [&] { request.together(mpi.world()); });
  } catch (const std::exception& error) {
    say_failure(error.what());
    return kExitFailure;
  }
}
