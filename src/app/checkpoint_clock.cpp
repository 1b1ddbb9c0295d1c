#include "app/checkpoint_clock.hpp"

#include <algorithm>

namespace fedselect {

void CheckpointClock::begin() {
  last_ = Clock::now();
  last_seconds_ = all_seconds_ = 0;
}

void CheckpointClock::stop() {
  last_ = Clock::now();
  last_seconds_ = std::chrono::duration<double>(last_ - start_).count();
  all_seconds_ += last_seconds_;
}

bool CheckpointClock::is_time() const {
  constexpr double kLeastRatio = 33;
  const std::chrono::duration<double> seconds = Clock::now() - last_;
  return cadence_.every_minutes > 0 &&
         seconds.count() >= std::max(60 * cadence_.every_minutes, kLeastRatio * last_seconds_);
}

bool CheckpointClock::is_due(int rounds) const {
  return keeps(rounds) || (cadence_.every_rounds > 0 && rounds % cadence_.every_rounds == 0) ||
         is_time();
}

bool CheckpointClock::keeps(int rounds) const {
  return cadence_.keep_every > 0 && rounds % cadence_.keep_every == 0;
}

}  // namespace fedselect
