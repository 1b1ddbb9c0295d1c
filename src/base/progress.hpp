#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace fedselect {

/// Seconds as people read them: "0:07", "12:34", "1:02:03".
std::string describe_duration(std::chrono::duration<double> duration);

/// Says how far a loop of known length is: a bar with the time left, redrawn on stderr, and lines
/// for a log, not more than one every kBetweenLines but for the first and the last step.
class Progress {
 public:
  using WriteLine = std::function<void(const std::string&)>;
  static constexpr std::chrono::seconds kBetweenLines{10};

  /// `title` begins every line. `draws_bar`: stderr is a terminal and its reader wants one. `done`:
  /// steps that an earlier loop has done.
  Progress(std::string title, std::int64_t steps, bool draws_bar, WriteLine write_line,
           std::int64_t done = 0);
  /// Removes the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// One more step is done; `status`: what it brought.
  void step(std::string_view status);
  /// As is known now, before step(): there will be so many steps, and those left after the one to
  /// come are so many times the work that this loop did with it. Without the latter, all steps are
  /// expected to take as long.
  void expect(std::int64_t steps, std::optional<double> left_to_done) {
    steps_ = steps;
    left_to_done_ = left_to_done;
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string describe_left() const;
  void draw(std::string_view status) const;

  std::string title_;
  std::int64_t steps_;
  bool draws_bar_;
  WriteLine write_line_;
  std::int64_t done_before_;
  std::int64_t done_;
  std::optional<double> left_to_done_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_line_ = start_;
};

}  // namespace fedselect
