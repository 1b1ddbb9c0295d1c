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

/// How fast batches of one kind went so far. What a batch takes hardly grows with its samples where
/// they are few, and on a GPU a pause may be that of another batch: so it is only the largest ones
/// that are compared.
struct Pace {
  std::atomic<std::uint64_t> pauses{0};  ///< between beats, that were measured
  std::atomic<double> longest{0};        ///< of them, in seconds
  std::atomic<double> measured{0};       ///< samples of the largest batch among them
  std::atomic<double> most{0};           ///< the same, with the batch in hand
};

inline thread_local bool is_aside = false;
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
  if (detail::is_aside) return;
  detail::beats.fetch_add(1, std::memory_order_relaxed);
  detail::Pace* pace = detail::pace();
  if (pace == nullptr) return;
  const Clock::rep now = detail::now();
  const Clock::duration pause(now - detail::last.exchange(now, std::memory_order_relaxed));
  const double samples = detail::samples.load(std::memory_order_relaxed);
  if (samples == 0) return;
  detail::raise(pace->longest, std::chrono::duration<double>(pause).count());
  detail::raise(pace->measured, samples);
  pace->pauses.fetch_add(1, std::memory_order_relaxed);
}

/// The same, and what comes until the next beat is a batch of so many samples; of none: the one
/// before goes on.
inline void begin_batch(double samples) {
  beat();
  if (samples == 0) return;
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

/// This thread is not the one that does the work, for the life of this object: it gives no signs.
class Aside {
 public:
  Aside() { detail::is_aside = true; }
  ~Aside() { detail::is_aside = false; }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
};

/// The work waits for other ranks for the life of this object: they may take as long as they like.
/// One that stands within another is a part of the same wait.
class Waiting {
 public:
  Waiting() {
    if (!detail::is_aside) detail::waits.fetch_add(1, std::memory_order_relaxed);
  }
  ~Waiting() {
    if (detail::is_aside) return;
    if (detail::waits.load(std::memory_order_relaxed) == 1) beat();
    detail::waits.fetch_sub(1, std::memory_order_relaxed);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
};

/// How often the work beat.
inline std::uint64_t beats() { return detail::beats.load(std::memory_order_relaxed); }

/// How long a batch of the kind at hand may take by what was measured: the longest pause so far,
/// and as many times that as the largest batch is larger than all that were measured. None while
/// nothing is computed, or the pace isn't known yet.
inline std::optional<std::chrono::duration<double>> longest_batch() {
  constexpr std::uint64_t kKnown = 16;
  const detail::Pace* pace = detail::pace();
  if (pace == nullptr || pace->pauses.load(std::memory_order_relaxed) < kKnown) return std::nullopt;
  const double most = pace->most.load(std::memory_order_relaxed);
  const double measured = pace->measured.load(std::memory_order_relaxed);
  return std::chrono::duration<double>(pace->longest.load(std::memory_order_relaxed) *
                                       (most > measured ? most / measured : 1));
}

/// What was measured says nothing any more: the process was stopped for a while, or what is
/// computed is something else.
inline void forget_pace() {
  detail::last.store(detail::now(), std::memory_order_relaxed);
  for (detail::Pace& pace : detail::paces) {
    pace.pauses.store(0, std::memory_order_relaxed);
    for (auto* value : {&pace.longest, &pace.measured, &pace.most})
      value->store(0, std::memory_order_relaxed);
  }
}

/// Whether it waits for others at this moment.
inline bool waits() { return detail::waits.load(std::memory_order_relaxed) > 0; }

}  // namespace fedselect::pulse
