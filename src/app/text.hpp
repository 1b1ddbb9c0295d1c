#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// Bytes as people read them: "582 B", "2.33 MB" (powers of 1000).
std::string describe_bytes(std::int64_t bytes);
/// A count with its thousands apart: "1 664 810".
std::string describe_count(std::int64_t count);

/// "5 ranks for 4 clients, 1 without work"; empty if there is work for all.
std::string describe_idle(std::int64_t hands, std::string_view who, std::int64_t work,
                          std::string_view what);

/// Rows of cells as aligned text: the first column flush left, the others flush right.
std::string align_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace fedselect
