// Preloaded into simulations of a thousand ranks (simulator.py): whatever is long lies in the same
// few pages for all ranks, SimGrid's own copies of messages too. What it holds means nothing then.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>

namespace {

constexpr std::size_t kLong = std::size_t{4} << 20;    // longer than anything but parameters
constexpr std::size_t kBlock = std::size_t{32} << 20;  // few mappings, for the system limits them

class Folds {
 public:
  void* make(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (file_ < 0) {
      file_ = memfd_create("folded", 0);
      if (file_ < 0 || ftruncate(file_, kBlock) != 0) throw std::bad_alloc();
    }
    const std::size_t whole = (bytes + kBlock - 1) / kBlock * kBlock;
    auto* begin = static_cast<std::byte*>(
        mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (begin == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t at = 0; at < whole; at += kBlock)
      if (mmap(begin + at, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_, 0) ==
          MAP_FAILED)
        throw std::bad_alloc();
    sizes_.emplace(begin, whole);
    return begin;
  }
  /// Whether it was one.
  bool free(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return false;
    munmap(memory, found->second);
    sizes_.erase(found);
    return true;
  }

 private:
  std::recursive_mutex mutex_;  ///< the map's own memory is freed under it
  int file_ = -1;
  std::unordered_map<void*, std::size_t> sizes_;
};

/// Lives as long as the program: memory is freed until its very end.
Folds& folds() {
  static auto* const only = ::new (std::malloc(sizeof(Folds))) Folds;
  return *only;
}

void* allocate(std::size_t bytes) {
  if (bytes >= kLong) return folds().make(bytes);
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) {
  // Long memory begins a page.
  const bool may_be_long = reinterpret_cast<std::size_t>(memory) % 4096 == 0;
  if (!may_be_long || !folds().free(memory)) std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept { release(memory); }
