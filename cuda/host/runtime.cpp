#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "blocks.hpp"
#include "memory.hpp"
#include "streams.hpp"

// Streams are lazy: work waits until somebody synchronises, so that code which forgets to do so
// reads memory that nothing has written yet.

using Work = std::function<void()>;

struct cudaGraphOnHost {
  std::vector<Work> work;
};
struct cudaGraphExecOnHost {
  std::vector<Work> work;
};
struct cudaStreamOnHost {
  std::deque<Work> work;
  std::size_t queued = 0, done = 0;  ///< since the stream was made
  std::unique_ptr<cudaGraphOnHost> recording;
};
/// A place in a stream.
struct cudaEventOnHost {
  cudaStream_t stream = nullptr;
  std::size_t place = 0;
};

namespace fedselect::cuda::host {

namespace {

struct Runtime {
  cudaError_t sticky = cudaSuccess;  ///< once a kernel failed, everything does
  cudaError_t last = cudaSuccess;
  std::string fault;
  std::vector<cudaStream_t> streams;
  std::size_t enqueued = 0;
};

Runtime& runtime() {
  static Runtime the_runtime;
  return the_runtime;
}

/// Does a stream's work up to a place.
cudaError_t drain(cudaStream_t stream, std::size_t place) {
  Runtime& r = runtime();
  if (stream->done >= place) return r.sticky == cudaSuccess ? cudaSuccess : fail(r.sticky);
  const OpenFence open;
  while (stream->done < place && r.sticky == cudaSuccess) {
    const Work work = std::move(stream->work.front());
    stream->work.pop_front();
    ++stream->done;
    try {
      work();
    } catch (const std::exception& error) {
      r.fault = error.what();
      r.sticky = cudaErrorLaunchFailure;
    }
  }
  return r.sticky == cudaSuccess ? cudaSuccess : fail(r.sticky);
}

}  // namespace

cudaError_t fail(cudaError_t code) {
  runtime().last = code;
  return code;
}

bool anybody_records() {
  for (const cudaStream_t stream : runtime().streams)
    if (stream->recording) return true;
  return false;
}

std::size_t enqueued() { return runtime().enqueued; }

cudaError_t enqueue(cudaStream_t stream, Work work) {
  ++runtime().enqueued;
  if (runtime().sticky != cudaSuccess) return fail(runtime().sticky);
  if (stream == nullptr) {
    const cudaError_t code = cudaDeviceSynchronize();
    if (code == cudaSuccess) work();
    return code;
  }
  if (stream->recording) {
    stream->recording->work.push_back(std::move(work));
    return cudaSuccess;
  }
  stream->work.push_back(std::move(work));
  ++stream->queued;
  return cudaSuccess;
}

cudaError_t enqueue_kernel(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                           Work thread) {
  constexpr unsigned kMostBlocks = 65535, kMostThreads = 1024;
  constexpr std::size_t kMostShared = std::size_t{48} << 10;
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > kMostBlocks || grid.z > kMostBlocks ||
      threads == 0 || threads > kMostThreads || shared_bytes > kMostShared)
    return fail(cudaErrorInvalidConfiguration);
  return enqueue(stream,
                 [=, thread = std::move(thread)] { run_grid(grid, block, shared_bytes, thread); });
}

}  // namespace fedselect::cuda::host

using namespace fedselect::cuda::host;

const char* cudaGetErrorName(cudaError_t code) {
  switch (code) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorDevicesUnavailable: return "cudaErrorDevicesUnavailable";
    case cudaErrorInvalidDeviceFunction: return "cudaErrorInvalidDeviceFunction";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
  }
  return "unknown";
}

const char* cudaGetErrorString(cudaError_t code) {
  switch (code) {
    case cudaErrorLaunchFailure: return runtime().fault.c_str();
    case cudaErrorNoDevice: return "no CUDA-capable device is there";
    case cudaErrorMemoryAllocation: return "out of memory";
    default: return cudaGetErrorName(code);
  }
}

cudaError_t cudaGetLastError() {
  Runtime& r = runtime();
  const cudaError_t code = r.last;
  r.last = r.sticky;
  return code;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(from_environment("FEDSELECT_HOST_DEVICES", 8));
  return *count == 0 ? fail(cudaErrorNoDevice) : cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) return code;
  if (device < 0 || device >= count) return fail(cudaErrorInvalidDevice);
  const std::size_t busy = from_environment("FEDSELECT_HOST_BUSY", SIZE_MAX);
  return busy == static_cast<std::size_t>(device) ? fail(cudaErrorDevicesUnavailable) : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  std::memcpy(properties->uuid.bytes, &device, sizeof(device));
  std::strncpy(properties->name, "kernels on the CPU", sizeof(properties->name) - 1);
  properties->totalGlobalMem = device_limit();
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* /*attributes*/, const void* /*kernel*/) {
  const bool has_code = std::getenv("FEDSELECT_HOST_NO_CODE") == nullptr;
  return has_code ? cudaSuccess : fail(cudaErrorNoKernelImageForDevice);
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  const bool are_parts = std::getenv("FEDSELECT_HOST_MIG") != nullptr;
  std::snprintf(id, static_cast<std::size_t>(length), "0000:%02x:00.0", are_parts ? 0 : device);
  return cudaSuccess;
}

/// As CUDA does: ordinary host memory is read at the call, page-locked memory when the copy runs.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) {
    const auto* begin = static_cast<const std::byte*>(from);
    return enqueue(stream, [to, staged = std::vector<std::byte>(begin, begin + bytes)] {
      std::memcpy(to, staged.data(), staged.size());
    });
  }
  const cudaError_t code = enqueue(stream, [=] { std::memmove(to, from, bytes); });
  const bool waits = kind == cudaMemcpyDeviceToHost && !is_pinned(to);
  return code == cudaSuccess && waits ? cudaStreamSynchronize(stream) : code;
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  return enqueue(stream, [=] { std::memset(memory, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = new cudaStreamOnHost;
  runtime().streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const cudaError_t code = drain(stream, stream->queued);
  std::erase(runtime().streams, stream);
  delete stream;
  return code;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream == nullptr) return cudaDeviceSynchronize();
  if (stream->recording) return fail(cudaErrorStreamCaptureUnsupported);
  return drain(stream, stream->queued);
}

cudaError_t cudaDeviceSynchronize() {
  if (anybody_records()) return fail(cudaErrorStreamCaptureUnsupported);
  for (const cudaStream_t stream : runtime().streams) {
    const cudaError_t code = drain(stream, stream->queued);
    if (code != cudaSuccess) return code;
  }
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new cudaEventOnHost;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  event->place = stream->queued;
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return event->stream == nullptr ? cudaSuccess : drain(event->stream, event->place);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  if (event->stream == nullptr || event->stream == stream) return cudaSuccess;
  return enqueue(stream, [from = event->stream, place = event->place] { drain(from, place); });
}

/// Times on the host say nothing: 0.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t /*from*/, cudaEvent_t /*to*/) {
  *milliseconds = 0;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  stream->recording = std::make_unique<cudaGraphOnHost>();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->recording) return fail(cudaErrorInvalidValue);
  *graph = stream->recording.release();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long /*flags*/) {
  *executable = new cudaGraphExecOnHost{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const Work& work : executable->work) {
    const cudaError_t code = enqueue(stream, work);
    if (code != cudaSuccess) return code;
  }
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
