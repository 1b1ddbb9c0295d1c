#pragma once

#include <cstddef>

namespace fedselect::cuda::host {

/// A number in the environment.
std::size_t from_environment(const char* name, std::size_t otherwise);

/// Bytes that a device has.
std::size_t device_limit();

/// Whether it lies in what cudaMallocHost gave.
bool is_pinned(const void* memory);

/// With FEDSELECT_HOST_FENCE=1 in the environment the host can't touch device memory, as with a
/// GPU: it is open only while one of these lives. Costs system calls, so not by default.
class OpenFence {
 public:
  OpenFence();
  ~OpenFence();
  OpenFence(const OpenFence&) = delete;
  OpenFence& operator=(const OpenFence&) = delete;
};

}  // namespace fedselect::cuda::host
