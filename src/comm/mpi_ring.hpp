#pragma once

#include <mpi.h>

#include <memory>

#include "comm/watchdog.hpp"

namespace fedselect {

/// Collective: the ring of a communicator's ranks. Null for one rank, and where MPI was not
/// initialised for several threads.
std::unique_ptr<Ring> make_mpi_ring(MPI_Comm comm);

}  // namespace fedselect
