#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
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

/// Allocator that leaves new elements as they are where a vector would make them zero.
template <class T>
struct UnsetAllocator : std::allocator<T> {
  template <class U>
  struct rebind {  // NOLINT(readability-identifier-naming): the standard's name
    using other = UnsetAllocator<U>;
  };
  template <class U>
  void construct(U* p) noexcept {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... Arguments>
  void construct(U* p, Arguments&&... arguments) {
    std::construct_at(p, std::forward<Arguments>(arguments)...);
  }
};

/// A std::vector of numbers that does not touch the memory of new elements: who fills it is the
/// first to do so.
template <class T>
using UnsetVector = std::vector<T, UnsetAllocator<T>>;

/// The least multiple of `unit` that is not below `n`.
constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace fedselect
