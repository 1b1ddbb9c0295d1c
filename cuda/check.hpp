#pragma once

#include <cuda_runtime.h>

/// Checks of the calls to CUDA.
namespace fedselect::cuda {

/// Throws SystemError "cuda: EXPRESSION: NAME: TEXT" unless the call succeeded. Out of memory says
/// what to do: `if_full`.
void check(cudaError_t code, const char* expression,
           const char* if_full =
               "the GPU's memory is full: set a smaller --group, or run fewer "
               "ranks on this GPU");

}  // namespace fedselect::cuda

/// Checks a call of the CUDA runtime.
#define FEDSELECT_CUDA(call) ::fedselect::cuda::check((call), #call)
