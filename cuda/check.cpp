#include "check.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace fedselect::cuda {

void check(cudaError_t code, const char* expression) {
  if (code == cudaSuccess) return;
  const char* advice = code == cudaErrorMemoryAllocation
                           ? ": the GPU's memory is full: set a smaller --group, or run fewer "
                             "ranks on this GPU"
                           : "";
  throw SystemError(fmt::format("cuda: {}: {}: {}{}", expression, cudaGetErrorName(code),
                                cudaGetErrorString(code), advice));
}

}  // namespace fedselect::cuda
