#include "app/option_checks.hpp"

#include <fmt/format.h>

#include <string>

namespace fedselect {

CLI::Validator number_between(double low, double high) {
  const std::string range = fmt::format("{:g} - {:g}", low, high);
  return {[=](const std::string& text) {
            double value = 0;
            const bool fits =
                CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
            return fits ? std::string() : fmt::format("{} is no number in {}", text, range);
          },
          fmt::format("in [{}]", range)};
}

}  // namespace fedselect
