#include "io/config_text.hpp"

#include <fmt/format.h>

#include <cmath>

namespace fedselect {

std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    constexpr unsigned char kFirstPrintable = 0x20;
    constexpr unsigned char kDelete = 0x7f;
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += {'\\', c};
    else if (code < kFirstPrintable || code == kDelete)
      quoted += fmt::format("\\u{:04x}", code);
    else
      quoted += c;
  }
  return quoted + '"';
}

std::string write_real(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string describe_interval(const Interval& range) {
  const bool bounded_below = std::isfinite(range.low);
  const bool bounded_above = std::isfinite(range.high);
  const auto number = [](double value) { return fmt::format("{:.17g}", value); };
  if (bounded_below && bounded_above)
    return fmt::format("in {}{}, {}{}", range.open_low ? '(' : '[', number(range.low),
                       number(range.high), range.open_high ? ')' : ']');
  if (bounded_below) return (range.open_low ? "> " : ">= ") + number(range.low);
  if (bounded_above) return (range.open_high ? "< " : "<= ") + number(range.high);
  return "a finite number";
}

bool is_folder_name(std::string_view text) {
  constexpr std::size_t kLongest = 100;
  constexpr std::string_view kPermitted =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= kLongest && text.front() != '.' && text.front() != '-' &&
         text.find_first_not_of(kPermitted) == std::string_view::npos;
}

}  // namespace fedselect
