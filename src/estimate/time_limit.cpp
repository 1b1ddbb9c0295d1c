#include "estimate/time_limit.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace fedselect {

namespace {

/// Up to nine digits, and nothing else.
std::optional<double> read_count(std::string_view digits) {
  constexpr std::size_t kMostDigits = 9;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (digits.empty() || digits.size() > kMostDigits ||
      !std::all_of(digits.begin(), digits.end(), is_digit))
    return std::nullopt;
  return std::stod(std::string(digits));
}

}  // namespace

std::optional<double> parse_time_limit(const std::string& text) {
  constexpr double kHoursADay = 24;
  constexpr double kSixty = 60;
  std::string_view rest = text;
  std::optional<double> days;
  if (const std::size_t dash = rest.find('-'); dash != std::string_view::npos) {
    days = read_count(rest.substr(0, dash));
    if (!days) return std::nullopt;
    rest.remove_prefix(dash + 1);
  }
  std::vector<double> parts;
  for (bool is_last = false; !is_last;) {
    const std::size_t colon = rest.find(':');
    is_last = colon == std::string_view::npos;
    const auto part = read_count(rest.substr(0, colon));
    if (!part || (!parts.empty() && *part >= kSixty)) return std::nullopt;
    parts.push_back(*part);
    if (!is_last) rest.remove_prefix(colon + 1);
  }
  constexpr std::size_t kWithHours = 3;
  if (parts.size() > kWithHours) return std::nullopt;
  if (!days && parts.size() < kWithHours) parts.insert(parts.begin(), 0);  // no hours
  parts.resize(kWithHours);
  return ((days.value_or(0) * kHoursADay + parts[0]) * kSixty + parts[1]) * kSixty + parts[2];
}

}  // namespace fedselect
