#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>

namespace fedselect {

/// Where a rank's time goes.
enum class Phase { train, select, aggregate, communicate, store, evaluate, write, other };
inline constexpr std::size_t kPhases = 8;
inline constexpr std::array<std::string_view, kPhases> kPhaseNames{
    "train", "select", "aggregate", "communicate", "store", "evaluate", "write", "other"};

using PhaseSeconds = std::array<double, kPhases>;

/// Wall time by phase. At any instant exactly one phase runs, so the phases add up to the whole.
class PhaseClock {
 public:
  /// Enters a phase for the life of this object; what ran before goes on afterwards.
  class Scope {
   public:
    Scope(PhaseClock& clock, Phase phase) : clock_(clock), before_(clock.switch_to(phase)) {}
    ~Scope() { clock_.switch_to(before_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseClock& clock_;
    Phase before_;
  };

  /// From now on `watcher` hears the name of each phase that begins.
  void watch(std::function<void(std::string_view)> watcher) { watcher_ = std::move(watcher); }

  /// Seconds of each phase since the last call, which starts the next reading.
  PhaseSeconds take() {
    switch_to(phase_);
    const PhaseSeconds seconds = seconds_;
    seconds_.fill(0);
    return seconds;
  }

 private:
  using Clock = std::chrono::steady_clock;

  Phase switch_to(Phase phase) {
    const auto now = Clock::now();
    seconds_[static_cast<std::size_t>(phase_)] +=
        std::chrono::duration<double>(now - since_).count();
    since_ = now;
    const Phase before = phase_;
    phase_ = phase;
    if (watcher_ && phase != before) watcher_(kPhaseNames[static_cast<std::size_t>(phase)]);
    return before;
  }

  PhaseSeconds seconds_{};
  Phase phase_ = Phase::other;
  Clock::time_point since_ = Clock::now();
  std::function<void(std::string_view)> watcher_;
};

}  // namespace fedselect
