#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "comm/device_sum.hpp"
#include "ops/ops.hpp"

/// What the program knows of this folder; no header of CUDA is needed to include it.
namespace fedselect::cuda {

/// The GPUs that this process sees.
struct Visible {
  int count = 0;
  std::string obstacle;       ///< why there is none, in CUDA's words; else empty
  bool are_emulated = false;  ///< executed on the CPU: for tests, not for users
};
Visible visible_devices();

/// Why the program can't compute on GPU number `device`: it can't be opened (others have it to
/// themselves, it is full or broken), or the program holds no code for it. Empty: it can.
std::string find_obstacle(int device);

/// The GPU's place on the bus, the same in all processes of a node; parts of one GPU (MIG) have one
/// place. Throws SystemError.
std::string bus_id(int device);

/// The name of a GPU, or of a part of one (MIG), with memory of its own. Throws SystemError.
std::string uuid(int device);

/// Bytes of the current device's memory that are free. Throws SystemError.
std::size_t free_memory();

/// The op set of GPU number `device`. Throws SystemError.
std::unique_ptr<ops::Ops> make_ops(int device);

/// Sums over ranks by NCCL on the ops' stream; no two ranks may have the same GPU. `ops`: from
/// make_ops, must outlive the result. Collective; throws SystemError.
std::unique_ptr<DeviceSum> make_nccl_sum(ops::Ops& ops, Communicator& comm);
/// The same by MPI: straight from the GPU's memory if MPI can, else through host memory.
std::unique_ptr<DeviceSum> make_mpi_sum(ops::Ops& ops, Communicator& comm);

}  // namespace fedselect::cuda
