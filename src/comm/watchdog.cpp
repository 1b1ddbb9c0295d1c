#include "comm/watchdog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/pulse.hpp"

namespace fedselect {

namespace {

using Seconds = std::chrono::duration<double>;
using namespace std::chrono_literals;

constexpr Seconds kBetweenSigns{1};

/// Looks and speaks often enough for the shorter limit.
Seconds choose_interval(const WatchLimits& limits) {
  Seconds interval = kBetweenSigns;
  for (const Seconds limit : {limits.silence, limits.stall, limits.batch})
    if (limit > 0s) interval = std::min(interval, limit / 4);
  return interval;
}

}  // namespace

Watchdog::Watchdog(const WatchLimits& limits, std::unique_ptr<Ring> ring, Alarm alarm)
    : limits_(limits),
      ring_(limits.silence > 0s ? std::move(ring) : nullptr),
      alarm_(std::move(alarm)),
      heard_(Clock::now()),
      moved_(heard_),
      waited_(heard_),
      thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Watchdog::watch() {
  const Seconds interval = choose_interval(limits_);
  constexpr Seconds kAtTheEnd{0.002};
  bool said_goodbye = false;
  auto beats = pulse::beats();
  auto last = Clock::now();
  for (bool ends = false; !(ends && (!ring_ || (said_goodbye && before_.leaves)));) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, ends ? kAtTheEnd : interval, [&] { return ends_ && !ends; });
      ends = ends_;
    }
    const auto now = Clock::now();
    const bool stood_still = now - last > 2 * interval + 1s;
    last = now;
    if (stood_still) {
      heard_ = moved_ = waited_ = now;
      pulse::forget_pace();
    }
    const auto before = std::exchange(beats, pulse::beats());
    if (ends || pulse::waits() || beats != before) moved_ = now;
    if (ends || !pulse::waits() || beats != before) waited_ = now;
    try {
      listen(now);
      waiting_ = waits_long(now) ? std::min(before_.waiting + 1, ring_->size()) : 0;
      if (ring_ && !said_goodbye)
        said_goodbye = ring_->send({.leaves = ends, .waiting = waiting_}) && ends;
    } catch (const std::exception& error) {
      return alarm_(fmt::format("the watchdog can't speak to other ranks: {}", error.what()));
    }
    if (const std::string fault = find_fault(now); !fault.empty()) return alarm_(fault);
  }
}

void Watchdog::listen(Clock::time_point now) {
  if (!ring_) return;
  while (const auto sign = ring_->receive()) {
    heard_ = now;
    before_ = *sign;
  }
}

/// How long the work may stand still at this moment.
Seconds Watchdog::choose_stall() const {
  const auto batch = pulse::longest_batch();
  return batch ? std::min(limits_.stall, std::max(limits_.batch, 10 * *batch)) : limits_.stall;
}

/// A count goes around the ring in less time than what is added to the limit, so that there was a
/// moment at which all of its ranks were waiting.
bool Watchdog::waits_long(Clock::time_point now) const {
  return ring_ && limits_.stall > 0s &&
         now - waited_ > limits_.stall + 2 * choose_interval(limits_) * ring_->size();
}

/// Empty: none.
std::string Watchdog::find_fault(Clock::time_point now) const {
  if (ring_ && !before_.leaves && now - heard_ > limits_.silence)
    return fmt::format(
        "{} gave no sign of life for {:.3g} s: its process is stopped or its node is lost, so the "
        "job ends; fedselect run --resume goes on from the last checkpoint (--silence-limit sets "
        "the time)",
        ring_->before(), Seconds(now - heard_).count());
  if (limits_.stall > 0s && now - moved_ > choose_stall())
    return fmt::format(
        "the work of this rank stands still for {:.3g} s: a file system or a device does not "
        "answer, or one step takes that long, so the job ends; fedselect run --resume goes on from "
        "the last checkpoint (--stall-limit sets the time)",
        Seconds(now - moved_).count());
  if (waiting_ > 0 && waiting_ == ring_->size() && ring_->rank() == 0)  // one speaks for all
    return fmt::format(
        "all {} ranks have been waiting for each other for {:.1f} s: a message between them was "
        "lost, or takes that long, so the job ends; fedselect run --resume goes on from the last "
        "checkpoint (--stall-limit sets the time)",
        waiting_, Seconds(now - waited_).count());
  return {};
}

}  // namespace fedselect
