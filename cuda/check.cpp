#include "check.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace fedselect::cuda {

void check(cudaError_t code, const char* expression, const char* if_full) {
  if (code == cudaSuccess) return;
  const bool is_full = code == cudaErrorMemoryAllocation;
  throw SystemError(fmt::format("cuda: {}: {}: {}{}{}", expression, cudaGetErrorName(code),
                                cudaGetErrorString(code), is_full ? ": " : "",
                                is_full ? if_full : ""));
}

}  // namespace fedselect::cuda
