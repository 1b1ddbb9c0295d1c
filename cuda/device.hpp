#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

/// Owners of what CUDA hands out. Each frees its thing when it goes; moving leaves nothing behind.
/// Errors are thrown as check.hpp says.
namespace fedselect::cuda {

/// A handle that `destroy` takes back.
template <class T, auto destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Handle() {
    if (value_ != nullptr) destroy(value_);
  }

  T get() const { return value_; }
  explicit operator bool() const { return value_ != nullptr; }

 private:
  T value_ = nullptr;
};

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using Graph = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;
using DeviceMemory = Handle<void*, cudaFree>;
using PinnedMemory = Handle<void*, cudaFreeHost>;

/// A stream that does not wait for the legacy default stream.
Stream make_stream();
/// An event without a time stamp.
Event make_event();
/// Device memory, unspecified content, aligned to 256 bytes.
DeviceMemory make_device_memory(std::size_t bytes);
/// Page-locked host memory, which copies read and write without a stop.
PinnedMemory make_pinned_memory(std::size_t bytes);
/// What `work` puts on the stream, ready to be launched again and again.
Graph capture(cudaStream_t stream, const std::function<void()>& work);

}  // namespace fedselect::cuda
