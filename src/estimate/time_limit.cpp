#include "estimate/time_limit.hpp"

#include <regex>

namespace fedselect {

std::optional<double> parse_time_limit(const std::string& text) {
  static const std::regex kForm(R"((?:(\d{1,9})-)?(\d{1,9})(?::([0-5]?\d))?(?::([0-5]?\d))?)");
  std::smatch part;
  if (!std::regex_match(text, part, kForm)) return std::nullopt;
  const auto number = [&](std::size_t i) { return part[i].matched ? std::stod(part[i]) : 0.0; };
  constexpr double kMinute = 60;
  constexpr double kHour = 60 * kMinute;
  constexpr double kDay = 24 * kHour;
  if (part[1].matched || part[4].matched)  // it has hours
    return kDay * number(1) + kHour * number(2) + kMinute * number(3) + number(4);
  return kMinute * number(2) + number(3);
}

}  // namespace fedselect
