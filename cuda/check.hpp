#pragma once

#include <cuda_runtime.h>

/// Checks of the calls to CUDA.
namespace fedselect::cuda {

/// Throws SystemError "cuda: EXPRESSION: NAME: TEXT" unless the call succeeded. Out of memory says
/// what to do.
void check(cudaError_t code, const char* expression);

}  // namespace fedselect::cuda

/// Checks a call of the CUDA runtime.
#define FEDSELECT_CUDA(call) ::fedselect::cuda::check((call), #call)
