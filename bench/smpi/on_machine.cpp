#include <chrono>

#include "workplace.hpp"

namespace fedselect::bench {

void compute(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
  }
}

std::unique_ptr<ops::Ops> make_ops(bool /*idle*/) { return ops::make_cpu_ops(); }

}  // namespace fedselect::bench
