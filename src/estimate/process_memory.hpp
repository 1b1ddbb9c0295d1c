#pragma once

#include <cstddef>

namespace fedselect {

/// What the system says of this process's memory, in bytes: pages in use, those that it shares with
/// others (the data set's, libraries) among them. 0 where it doesn't say. Source: proc(5).
struct ProcessMemory {
  std::size_t resident = 0;
  std::size_t peak = 0;    ///< resident at its highest, since reset_peak()
  std::size_t shared = 0;  ///< part of resident: in files and shared memory
};

ProcessMemory measure_memory();
/// peak becomes resident. Without effect where the system forbids it.
void reset_peak();

/// Memory of this node that the job may take (base/job_memory.hpp), and what of it could be had now
/// without swapping.
struct NodeMemory {
  std::size_t total = 0;
  std::size_t available = 0;
};
NodeMemory measure_node();

}  // namespace fedselect
