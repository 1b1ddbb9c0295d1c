#include "app/version.hpp"

#include <fmt/format.h>

#include "base/build_info.hpp"
#include "comm/communicator.hpp"
#include "ops/ops.hpp"

namespace fedselect {

void print_version() {
  fmt::print("{}MPI library: {}\ndevice: {}\n", describe_build(), mpi_library(),
             ops::make_cpu_ops()->device());
}

}  // namespace fedselect
