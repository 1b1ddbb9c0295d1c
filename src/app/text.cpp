#include "app/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace fedselect {

std::string describe_bytes(std::int64_t bytes) {
  constexpr std::array kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
  constexpr double kStep = 1000;
  if (bytes < static_cast<std::int64_t>(kStep)) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / kStep;
  std::size_t unit = 0;
  constexpr double kNext = 999.5;  // prints as 1000
  for (; value >= kNext && unit + 1 < kUnits.size(); ++unit) value /= kStep;
  return fmt::format("{:.3g} {}", value, kUnits[unit]);
}

std::string describe_count(std::int64_t count) {
  std::string text = fmt::format("{}", count);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ' ');
  return text;
}

std::string describe_idle(std::int64_t hands, std::string_view who, std::int64_t work,
                          std::string_view what) {
  if (hands <= work) return "";
  return fmt::format("{} {} for {} {}, {} without work", hands, who, work, what, hands - work);
}

std::string align_table(const std::vector<std::vector<std::string>>& rows) {
  constexpr const char* kGap = "  ";
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      text += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                     : fmt::format("{}{:>{}}", kGap, row[i], widths[i]);
    text += '\n';
  }
  return text;
}

}  // namespace fedselect
