#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace fedselect::cuda::host {

/// Puts work on the stream (null: the legacy default stream, whose work is done at once), or into
/// the graph that it records. Fails if the stream's work has failed before.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

/// How many pieces of work were put on streams since the program began: launches, copies.
std::size_t enqueued();

/// Puts the launch of a kernel on the stream. cudaErrorInvalidConfiguration for a grid, block or
/// shared memory that no GPU takes.
cudaError_t enqueue_kernel(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                           std::function<void()> thread);

/// `code`, which cudaGetLastError() then tells.
cudaError_t fail(cudaError_t code);

/// Whether a stream records a graph.
bool anybody_records();

}  // namespace fedselect::cuda::host
