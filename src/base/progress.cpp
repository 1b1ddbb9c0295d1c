#include "base/progress.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

namespace fedselect {

namespace {

constexpr const char* kEraseLine = "\r\x1b[K";  // ANSI: to the line's begin, then erase to its end

}  // namespace

std::string describe_duration(std::chrono::duration<double> duration) {
  const auto seconds = static_cast<std::int64_t>(std::ceil(duration.count()));
  const auto minutes = seconds / 60;
  if (minutes < 60) return fmt::format("{}:{:02}", minutes, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", minutes / 60, minutes % 60, seconds % 60);
}

Progress::Progress(std::string title, std::int64_t steps, bool draws_bar, WriteLine write_line,
                   std::int64_t done)
    : title_(std::move(title)),
      steps_(steps),
      draws_bar_(draws_bar),
      write_line_(std::move(write_line)),
      done_before_(done),
      done_(done) {
  if (draws_bar_) draw("");
}

Progress::~Progress() {
  if (draws_bar_) std::fputs(kEraseLine, stderr);
}

void Progress::step(std::string_view status) {
  ++done_;
  const auto now = Clock::now();
  if (done_ == done_before_ + 1 || done_ == steps_ || now - last_line_ >= kBetweenLines) {
    last_line_ = now;
    write_line_(fmt::format("{} {}/{} {}{}", title_, done_, steps_, status, describe_left()));
  }
  if (draws_bar_) draw(status);
}

/// As if work to come went as fast as that which is done.
std::string Progress::describe_left() const {
  if (done_ == done_before_ || done_ == steps_) return "";
  const std::chrono::duration<double> spent = Clock::now() - start_;
  const auto left = spent * left_to_done_.value_or(static_cast<double>(steps_ - done_) /
                                                   static_cast<double>(done_ - done_before_));
  return fmt::format(", {} left", describe_duration(left));
}

void Progress::draw(std::string_view status) const {
  constexpr std::int64_t kWidth = 24;
  const auto filled = static_cast<std::size_t>(kWidth * done_ / steps_);
  fmt::print(stderr, "{}{} [{:.<{}}] {}/{} {}{}", kEraseLine, title_, std::string(filled, '#'),
             kWidth, done_, steps_, status, describe_left());
  std::fflush(stderr);
}

}  // namespace fedselect
