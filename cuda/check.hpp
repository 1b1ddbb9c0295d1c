#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

/// Checks of the calls to CUDA's libraries.
namespace fedselect::cuda {

/// Throws SystemError "cuda: EXPRESSION: NAME: TEXT" unless the call succeeded. Out of memory says
/// what to do.
void check(cudaError_t code, const char* expression);
void check(cublasStatus_t code, const char* expression);

}  // namespace fedselect::cuda

/// Checks a call of the CUDA runtime or of cuBLAS.
#define FEDSELECT_CUDA(call) ::fedselect::cuda::check((call), #call)
