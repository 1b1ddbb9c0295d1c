#pragma once

#include <chrono>

#include "io/config.hpp"

namespace fedselect {

/// When a run writes checkpoints, and what they took of its time (docs/reliability.md).
class CheckpointClock {
 public:
  explicit CheckpointClock(const CheckpointConfig& cadence) : cadence_(cadence) {}

  /// A method begins.
  void begin();
  /// A checkpoint is written from now on until stop(), or it is tried.
  void start() { start_ = Clock::now(); }
  void stop();

  /// Whether it is time for one by this rank's clock: after checkpoint.every_minutes, but so that
  /// checkpoints take less than 3 % of the run however slow the disk is.
  bool is_time() const;
  /// Whether one is due after so many complete rounds.
  bool is_due(int rounds) const;
  /// Whether the state after so many rounds is one to go back to.
  bool keeps(int rounds) const;

  double last_seconds() const { return last_seconds_; }
  double all_seconds() const { return all_seconds_; }

 private:
  using Clock = std::chrono::steady_clock;

  const CheckpointConfig& cadence_;
  Clock::time_point start_;
  Clock::time_point last_;
  double last_seconds_ = 0;
  double all_seconds_ = 0;
};

}  // namespace fedselect
