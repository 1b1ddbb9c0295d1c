#include "arena.hpp"

#include <algorithm>

#include "base/aligned.hpp"

namespace fedselect::cuda {

namespace {
constexpr std::size_t kPiece = 256;
}

void* Arena::take(std::size_t bytes) {
  const std::size_t begin = used_;
  used_ += round_up(bytes, kPiece);
  most_ = std::max(most_, used_);
  if (used_ <= size_) return static_cast<std::byte*>(memory_.get()) + begin;
  extra_.push_back(make_device_memory(bytes));
  return extra_.back().get();
}

/// cudaFree waits for the work that uses the memory.
void Arena::leave(std::size_t used) {
  used_ = used;
  if (used_ > 0 || extra_.empty()) return;
  extra_.clear();
  memory_ = {};
  memory_ = make_device_memory(most_);
  size_ = most_;
  ++generation_;
}

}  // namespace fedselect::cuda
