#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace fedselect::pulse {

// Signs of life of the one thread that does a process's work, for a watchdog on another thread.

using Clock = std::chrono::steady_clock;

namespace detail {
inline std::atomic<std::uint64_t> beats{0};
inline std::atomic<int> waits{0};
inline std::atomic<int> computes{0};
inline std::atomic<std::uint64_t> pauses{0};
inline std::atomic<Clock::rep> longest_pause{0};
inline std::atomic<Clock::rep> last{0};  ///< beat
}  // namespace detail

/// The work goes on: called once a batch, a file, a message.
inline void beat() {
  detail::beats.fetch_add(1, std::memory_order_relaxed);
  if (detail::computes.load(std::memory_order_relaxed) == 0) return;
  const auto now = Clock::now().time_since_epoch().count();
  const auto pause = now - detail::last.exchange(now, std::memory_order_relaxed);
  if (pause > detail::longest_pause.load(std::memory_order_relaxed))
    detail::longest_pause.store(pause, std::memory_order_relaxed);
  detail::pauses.fetch_add(1, std::memory_order_relaxed);
}

/// For the life of this object the work is arithmetic alone, batch after batch, so that the pauses
/// between its beats tell how long the next one may be.
class Computing {
 public:
  Computing() {
    beat();
    detail::last.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    detail::computes.fetch_add(1, std::memory_order_relaxed);
  }
  ~Computing() {
    beat();
    detail::computes.fetch_sub(1, std::memory_order_relaxed);
  }
  Computing(const Computing&) = delete;
  Computing& operator=(const Computing&) = delete;
};

/// For the life of this object, within a Computing, the work is something else, files perhaps: the
/// pace of the batches says nothing about it.
class Interlude {
 public:
  Interlude() {
    beat();
    computes_ = detail::computes.exchange(0, std::memory_order_relaxed);
  }
  ~Interlude() {
    beat();
    detail::last.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    detail::computes.store(computes_, std::memory_order_relaxed);
  }
  Interlude(const Interlude&) = delete;
  Interlude& operator=(const Interlude&) = delete;

 private:
  int computes_ = 0;
};

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
/// Whether it computes at this moment, and has for so many batches that its pace is known.
inline bool has_pace() {
  constexpr std::uint64_t kKnown = 16;
  return detail::computes.load(std::memory_order_relaxed) > 0 &&
         detail::pauses.load(std::memory_order_relaxed) >= kKnown;
}
/// The longest time between two beats while it computed, of the whole run.
inline std::chrono::duration<double> longest_pause() {
  return Clock::duration(detail::longest_pause.load(std::memory_order_relaxed));
}
/// Whether it waits for others at this moment.
inline bool waits() { return detail::waits.load(std::memory_order_relaxed) > 0; }

}  // namespace fedselect::pulse
