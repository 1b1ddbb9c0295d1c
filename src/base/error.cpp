#include "base/error.hpp"

#include <fmt/format.h>

namespace fedselect {

std::string printable(std::string text) {
  constexpr unsigned char kFirstPrintable = 0x20;
  constexpr unsigned char kDelete = 0x7f;
  constexpr unsigned char kC1 = 0xc2;  // begins 80 to 9f, control characters too, in UTF-8
  constexpr unsigned char kC1End = 0xa0;
  unsigned char before = 0;
  for (char& c : text) {
    const auto code = static_cast<unsigned char>(c);
    const bool is_c1 = before == kC1 && code < kC1End;
    if ((code < kFirstPrintable && c != '\n') || code == kDelete || is_c1) c = '?';
    before = code;
  }
  return text;
}

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
