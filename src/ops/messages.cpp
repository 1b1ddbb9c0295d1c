#include "ops/messages.hpp"

#include <fmt/format.h>

namespace fedselect::ops {

std::string score_not_a_number(int client, std::size_t range_number, const Range& range) {
  return fmt::format(
      "select_top: a score of client {} in range {} (indices {} to {}) is not a number (the "
      "client's training diverged): lower the learning rate or exclude diverged clients",
      client, range_number, range.begin, range.begin + range.size);
}

}  // namespace fedselect::ops
