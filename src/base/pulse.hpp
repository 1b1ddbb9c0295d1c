#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace fedselect::pulse {

// Signs of life of the one thread that does a process's work, for a watchdog on another thread.

using Clock = std::chrono::steady_clock;

/// Kinds of arithmetic, each with a pace of its own.
enum class Kind { none = -1, training, testing };

namespace detail {

/// How fast batches of one kind went so far.
struct Pace {
  std::atomic<std::uint64_t> pauses{0};  ///< between beats, that were measured
  std::atomic<double> slowest{0};        ///< seconds a sample
  std::atomic<double> most{0};           ///< samples of a batch
};

inline std::atomic<std::uint64_t> beats{0};
inline std::atomic<int> waits{0};
inline std::atomic<Kind> kind{Kind::none};  ///< of what is computed at this moment
inline std::atomic<double> samples{0};      ///< of the batch in hand; 0: there is none
inline std::array<Pace, 2> paces;
inline std::atomic<Clock::rep> last{0};  ///< beat

inline Clock::rep now() { return Clock::now().time_since_epoch().count(); }

inline void raise(std::atomic<double>& most, double value) {
  if (value > most.load(std::memory_order_relaxed)) most.store(value, std::memory_order_relaxed);
}

/// Null while nothing is computed.
inline Pace* pace() {
  const Kind now = kind.load(std::memory_order_relaxed);
  return now == Kind::none ? nullptr : &paces[static_cast<std::size_t>(now)];
}

}  // namespace detail

/// The work goes on: called once a batch, a file, a message.
inline void beat() {
  detail::beats.fetch_add(1, std::memory_order_relaxed);
  detail::Pace* pace = detail::pace();
  if (pace == nullptr) return;
  const Clock::rep now = detail::now();
  const Clock::duration pause(now - detail::last.exchange(now, std::memory_order_relaxed));
  const double samples = detail::samples.load(std::memory_order_relaxed);
  if (samples == 0) return;
  detail::raise(pace->slowest, std::chrono::duration<double>(pause).count() / samples);
  pace->pauses.fetch_add(1, std::memory_order_relaxed);
}

/// The same, and what comes until the next beat is a batch of so many samples.
inline void begin_batch(double samples) {
  beat();
  detail::samples.store(samples, std::memory_order_relaxed);
  if (detail::Pace* pace = detail::pace()) detail::raise(pace->most, samples);
}

/// For the life of this object the work is of one kind. Arithmetic is nothing but batch after
/// batch, so that the pauses between its beats tell how long the next one may be; of other work
/// (Kind::none), files perhaps, they tell nothing. May stand within another one.
class Work {
 public:
  explicit Work(Kind kind) : before_(turn_to(kind)) {}
  ~Work() { turn_to(before_); }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

 private:
  static Kind turn_to(Kind kind) {
    beat();
    detail::samples.store(0, std::memory_order_relaxed);
    detail::last.store(detail::now(), std::memory_order_relaxed);
    return detail::kind.exchange(kind, std::memory_order_relaxed);
  }
  Kind before_;
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

/// What the largest batch of the kind at hand takes at the slowest pace so far; none while nothing
/// is computed, or the pace isn't known yet.
inline std::optional<std::chrono::duration<double>> longest_batch() {
  constexpr std::uint64_t kKnown = 16;
  const detail::Pace* pace = detail::pace();
  if (pace == nullptr || pace->pauses.load(std::memory_order_relaxed) < kKnown) return std::nullopt;
  return std::chrono::duration<double>(pace->slowest.load(std::memory_order_relaxed) *
                                       pace->most.load(std::memory_order_relaxed));
}

/// The process was stopped for a while: what was measured may be that.
inline void forget_pace() {
  detail::last.store(detail::now(), std::memory_order_relaxed);
  for (detail::Pace& pace : detail::paces) {
    pace.pauses.store(0, std::memory_order_relaxed);
    pace.slowest.store(0, std::memory_order_relaxed);
  }
}

/// Whether it waits for others at this moment.
inline bool waits() { return detail::waits.load(std::memory_order_relaxed) > 0; }

}  // namespace fedselect::pulse
