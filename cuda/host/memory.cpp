#include "memory.hpp"

#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "streams.hpp"

namespace fedselect::cuda::host {

namespace {

struct Memory {
  std::map<void*, std::size_t> device;  ///< what cudaMalloc gave
  std::map<void*, std::size_t> pinned;
  std::size_t device_bytes = 0;
  int open = 0;  ///< fences
};

Memory& memory() {
  static Memory the_memory;
  return the_memory;
}

bool has_fence() {
  static const bool fence = from_environment("FEDSELECT_HOST_FENCE", 0) != 0;
  return fence;
}

std::size_t pages(std::size_t bytes) { return (bytes / 4096 + 1) * 4096; }

void protect(int access) {
  for (const auto& [at, bytes] : memory().device) mprotect(at, pages(bytes), access);
}

constexpr int kPoison = 0xFF;  // as float and double: not a number

void* fenced(std::size_t bytes) {
  void* at =
      mmap(nullptr, pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  std::memset(at, kPoison, bytes);
  mprotect(at, pages(bytes), PROT_NONE);
  return at;
}

/// Not a byte more than asked for, so that AddressSanitizer sees the first one behind.
void* fresh(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  void* at = nullptr;
  if (posix_memalign(&at, kAlignment, bytes) != 0) return nullptr;
  std::memset(at, kPoison, bytes);
  return at;
}

}  // namespace

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::size_t device_limit() {
  return from_environment("FEDSELECT_HOST_MEMORY", std::size_t{4} << 30);
}

bool is_pinned(const void* at) {
  const auto& pinned = memory().pinned;
  auto after = pinned.upper_bound(const_cast<void*>(at));
  if (after == pinned.begin()) return false;
  --after;
  return static_cast<const char*>(at) < static_cast<const char*>(after->first) + after->second;
}

OpenFence::OpenFence() {
  if (has_fence() && memory().open++ == 0) protect(PROT_READ | PROT_WRITE);
}

OpenFence::~OpenFence() {
  if (has_fence() && --memory().open == 0) protect(PROT_NONE);
}

}  // namespace fedselect::cuda::host

using namespace fedselect::cuda::host;

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = device_limit();
  *free = *total - memory().device_bytes;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** at, std::size_t bytes) {
  Memory& m = memory();
  if (anybody_records()) return fail(cudaErrorStreamCaptureUnsupported);
  const bool fits = bytes <= device_limit() - m.device_bytes;
  *at = !fits ? nullptr : has_fence() ? fenced(bytes) : fresh(bytes);
  if (*at == nullptr) return fail(cudaErrorMemoryAllocation);
  m.device[*at] = bytes;
  m.device_bytes += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* at) {
  if (at == nullptr) return cudaSuccess;
  Memory& m = memory();
  cudaDeviceSynchronize();
  const auto found = m.device.find(at);
  if (found == m.device.end()) return fail(cudaErrorInvalidValue);
  const std::size_t bytes = found->second;
  m.device_bytes -= bytes;
  m.device.erase(found);
  if (has_fence())
    munmap(at, pages(bytes));
  else
    std::free(at);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** at, std::size_t bytes) {
  *at = fresh(bytes);
  if (*at == nullptr) return fail(cudaErrorMemoryAllocation);
  memory().pinned[*at] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* at) {
  if (at == nullptr) return cudaSuccess;
  cudaDeviceSynchronize();
  if (memory().pinned.erase(at) == 0) return fail(cudaErrorInvalidValue);
  std::free(at);
  return cudaSuccess;
}
