#pragma once

#include <cstddef>
#include <vector>

#include "device.hpp"

namespace fedselect::cuda {

/// Scratch memory of one stream. Ops take pieces and give all back when they return: the next op
/// on the same stream runs after them, so it may have the same bytes. Grows when an op needs more
/// than any before; then no allocation happens. Executed on the CPU, what ops before left in a
/// piece is not a number.
class Arena {
 public:
  explicit Arena(cudaStream_t stream) : stream_(stream) {}

  /// What an op takes; given back when the frame goes.
  class Frame {
   public:
    explicit Frame(Arena& arena) : arena_(arena), used_(arena.used_) {}
    ~Frame() { arena_.leave(used_); }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

    /// `count` elements, unspecified content, aligned to 256 bytes.
    template <class T>
    T* take(std::size_t count) {
      return static_cast<T*>(arena_.take(count * sizeof(T)));
    }

   private:
    Arena& arena_;
    std::size_t used_;
  };

  /// Changes whenever memory that ops used before is no longer theirs.
  std::size_t generation() const { return generation_; }

 private:
  void* take(std::size_t bytes);
  void leave(std::size_t used);

  [[maybe_unused]] cudaStream_t stream_;
  DeviceMemory memory_;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
  std::size_t most_ = 0;
  std::size_t generation_ = 0;
  std::vector<DeviceMemory> extra_;  ///< pieces that memory_ had no room for
};

}  // namespace fedselect::cuda
