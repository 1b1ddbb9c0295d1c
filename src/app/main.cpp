#include <exception>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "app/command_line.hpp"
#include "app/failure.hpp"

using namespace fedselect;

namespace {

/// Long arrays go back to the system when they are freed. Else what a round keeps comes to lie in
/// the gaps that they leave, and the next round's don't fit there.
void return_long_arrays() {
#ifdef __GLIBC__
  constexpr int kLong = 1 << 20;  // bytes
  constexpr int kMost = 1 << 14;  // at a time: the system allows a process 65,530 mappings
  mallopt(M_MMAP_THRESHOLD, kLong);
  mallopt(M_MMAP_MAX, kMost);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  return_long_arrays();
  try {
    Request request;
    if (const auto exit_code = parse_command_line(argc, argv, request)) return *exit_code;
    if (request.alone) {
      if (!is_first_rank()) return kExitSuccess;
      return run_guarded(*make_self_communicator(), request.alone);
    }
    MpiSession mpi(argc, argv);
    watch_ranks(mpi, request.limits);
    return run_guarded(mpi.world(), [&] { request.together(mpi.world()); });
  } catch (const std::exception& error) {
    say_failure(error.what());
    return kExitFailure;
  }
}
