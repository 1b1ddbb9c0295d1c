#include "device.hpp"

#include "check.hpp"

namespace fedselect::cuda {

Stream make_stream() {
  cudaStream_t stream = nullptr;
  FEDSELECT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  FEDSELECT_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

DeviceMemory make_device_memory(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) FEDSELECT_CUDA(cudaMalloc(&memory, bytes));
  return DeviceMemory(memory);
}

PinnedMemory make_pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "cudaMallocHost(&memory, bytes)",
        "the node has no more page-locked host memory to give: run fewer ranks on it, or ask for "
        "more memory");
  return PinnedMemory(memory);
}

Graph capture(cudaStream_t stream, const std::function<void()>& work) {
  FEDSELECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t recorded = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream, &recorded);
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    throw;
  }
  FEDSELECT_CUDA(cudaStreamEndCapture(stream, &recorded));
  const Handle<cudaGraph_t, cudaGraphDestroy> graph(recorded);
  cudaGraphExec_t executable = nullptr;
  FEDSELECT_CUDA(cudaGraphInstantiate(&executable, recorded, 0));
  return Graph(executable);
}

}  // namespace fedselect::cuda
