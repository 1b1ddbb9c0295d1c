#include "base/heap.hpp"

#include <cstdlib>  // tells whether this is glibc

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace fedselect {

void return_long_arrays() {
#ifdef __GLIBC__
  constexpr int kLong = 1 << 20;  // bytes
  constexpr int kMost = 1 << 14;  // at a time: the system allows a process 65,530 mappings
  mallopt(M_MMAP_THRESHOLD, kLong);
  mallopt(M_MMAP_MAX, kMost);
#endif
}

void release_freed() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace fedselect
