#include "base/copy_threads.hpp"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <system_error>

namespace fedselect {

namespace {

constexpr std::size_t kWorthSharing = 1 << 18;  // bytes; to wake a thread costs microseconds
constexpr int kMostUseful = 4;

}  // namespace

int CopyThreads::useful() {
  cpu_set_t cores;
  const int usable = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::clamp(usable, 1, kMostUseful);
}

CopyThreads::CopyThreads(int threads) {
  threads_.reserve(static_cast<std::size_t>(std::max(threads, 1)));
  try {
    for (int i = 1; i < threads; ++i)
      threads_.emplace_back([this, i] { serve(static_cast<std::size_t>(i)); });
  } catch (const std::system_error&) {  // the system starts no more: these have to do
  }
}

CopyThreads::~CopyThreads() {
  ends_ = true;
  asked_.fetch_add(1);
  asked_.notify_all();
}

void CopyThreads::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes < kWorthSharing || threads_.empty()) {
    if (bytes > 0) std::memcpy(to, from, bytes);
    return;
  }
  to_ = to;
  from_ = from;
  bytes_ = bytes;
  busy_.store(static_cast<std::uint32_t>(threads_.size()));
  asked_.fetch_add(1);
  asked_.notify_all();
  copy_part(0);
  for (auto busy = busy_.load(); busy != 0; busy = busy_.load()) busy_.wait(busy);
}

void CopyThreads::serve(std::size_t part) {
  for (std::uint32_t seen = 0;; ++seen) {
    asked_.wait(seen);
    if (ends_) return;
    copy_part(part);
    if (busy_.fetch_sub(1) == 1) busy_.notify_one();
  }
}

void CopyThreads::copy_part(std::size_t part) const {
  const std::size_t parts = threads_.size() + 1;
  const std::size_t begin = bytes_ * part / parts, end = bytes_ * (part + 1) / parts;
  std::memcpy(to_ + begin, from_ + begin, end - begin);
}

}  // namespace fedselect
