#pragma once

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace fedselect::cuda::host {

/// Sanitizers want to know when the stack changes.
struct StackSwitch {
#if defined(__SANITIZE_ADDRESS__)
  void begin(const void* bottom, std::size_t size) {
    __sanitizer_start_switch_fiber(&fake_, bottom, size);
  }
  void end(const void** bottom = nullptr, std::size_t* size = nullptr) {
    __sanitizer_finish_switch_fiber(fake_, bottom, size);
  }
  void* fake_ = nullptr;
#else
  void begin(const void* /*bottom*/, std::size_t /*size*/) {}
  void end(const void** /*bottom*/ = nullptr, std::size_t* /*size*/ = nullptr) {}
#endif
};

/// A stack with a page below it that nobody may touch.
class Stack {
 public:
  static constexpr std::size_t kSize = std::size_t{128} << 10;
  static constexpr std::size_t kGuard = 4096;

  Stack() {
    memory_ = mmap(nullptr, kSize + kGuard, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory_, kGuard, PROT_NONE);
  }
  /// Functions that never returned have left marks on it, which would tell AddressSanitizer that
  /// whatever comes to lie there is not to be touched.
  ~Stack() {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(bottom(), kSize);
#endif
    munmap(memory_, kSize + kGuard);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  char* bottom() const { return static_cast<char*>(memory_) + kGuard; }
  char* top() const { return bottom() + kSize; }

 private:
  void* memory_;
};

/// A fiber runs threads one after another; one that has to wait keeps its fiber.
struct Fiber {
  Stack stack;
  boost::context::detail::fcontext_t context = nullptr;
  StackSwitch inside;
};

}  // namespace fedselect::cuda::host
