#pragma once

#include <atomic>
#include <cstdint>

namespace fedselect::pulse {

// Signs of life of the one thread that does a process's work, for a watchdog on another thread.

namespace detail {
inline std::atomic<std::uint64_t> beats{0};
inline std::atomic<int> waits{0};
}  // namespace detail

/// The work goes on: called once a batch, a file, a message.
inline void beat() { detail::beats.fetch_add(1, std::memory_order_relaxed); }

/// The work waits for other ranks for the life of this object: they may take as long as they like.
class Waiting {
 public:
  Waiting() { detail::waits.fetch_add(1, std::memory_order_relaxed); }
  ~Waiting() {
    beat();
    detail::waits.fetch_sub(1, std::memory_order_relaxed);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
};

/// How often the work beat.
inline std::uint64_t beats() { return detail::beats.load(std::memory_order_relaxed); }
/// Whether it waits for others at this moment.
inline bool waits() { return detail::waits.load(std::memory_order_relaxed) > 0; }

}  // namespace fedselect::pulse
