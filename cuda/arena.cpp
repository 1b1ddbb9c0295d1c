#include "arena.hpp"

#include <algorithm>

#include "base/aligned.hpp"
#include "check.hpp"

namespace fedselect::cuda {

namespace {
constexpr std::size_t kPiece = 256;
}

void* Arena::take(std::size_t bytes) {
  if (used_ == 0 && size_ < most_) {
    memory_ = make_device_memory(most_);
    size_ = most_;
  }
  const std::size_t begin = used_, end = begin + round_up(bytes, kPiece);
  if (end > size_) extra_.push_back(make_device_memory(bytes));
  used_ = end;
  most_ = std::max(most_, used_);
  void* piece = end > size_ ? extra_.back().get() : static_cast<std::byte*>(memory_.get()) + begin;
#ifdef FEDSELECT_CUDA_HOST
  if (bytes > 0) FEDSELECT_CUDA(cudaMemsetAsync(piece, 0xFF, bytes, stream_));
#endif
  return piece;
}

/// cudaFree waits for the work that uses the memory.
void Arena::leave(std::size_t used) {
  used_ = used;
  if (used_ > 0 || extra_.empty()) return;
  extra_.clear();
  memory_ = {};
  size_ = 0;
  ++generation_;
}

}  // namespace fedselect::cuda
