#include "base/error.hpp"

#include <fmt/format.h>

namespace fedselect {

void require(bool holds, const std::string& message) {
  if (!holds) throw InputError(message);
}

#ifndef NDEBUG
void expect(bool holds, const char* claim, std::source_location where) {
  if (!holds)
    throw std::logic_error(
        fmt::format("{}:{}: expected {}", where.file_name(), where.line(), claim));
}
#endif

}  // namespace fedselect
