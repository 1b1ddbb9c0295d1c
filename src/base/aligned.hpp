#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace fedselect {

/// Bytes to which every numeric buffer is aligned: a cache line, and the widest vector register.
inline constexpr std::size_t kAlignment = 64;

/// Allocator of memory aligned to kAlignment.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>& /*other*/) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{kAlignment}));
  }
  void deallocate(T* p, std::size_t /*n*/) { ::operator delete (p, std::align_val_t{kAlignment}); }
  bool operator==(const AlignedAllocator& /*other*/) const { return true; }
};

/// A std::vector whose data starts at a multiple of kAlignment bytes.
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// The least multiple of `unit` that is not below `n`.
constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace fedselect
