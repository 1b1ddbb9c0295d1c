#pragma once

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>

#include "include/vector_types.hpp"

namespace fedselect::cuda::host {

/// What a kernel did that CUDA would not forgive.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The order in which the threads of a block run, and go on after they met.
enum class Order { forward, reversed, shuffled };
/// For all launches from now on. At first what the environment variable FEDSELECT_HOST_ORDER says:
/// forward, reversed or shuffled:SEED.
void set_order(Order order, unsigned seed = 0);

/// Runs a kernel: `thread` once for each thread of each block, one block after another. Throws
/// KernelFault.
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread);

}  // namespace fedselect::cuda::host
