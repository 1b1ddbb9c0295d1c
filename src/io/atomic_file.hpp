#pragma once

#include <filesystem>
#include <string_view>

namespace fedselect {

/// Where a file is written before it takes its name: beside it, "NAME.partial".
std::filesystem::path partial_path(const std::filesystem::path& path);

/// Syncs the finished file at partial_path(path) to disk and gives it its name. Throws SystemError.
void put_in_place(const std::filesystem::path& path);

/// Writes a file so that nobody ever sees a part of it: at any instant, even after a crash, `path`
/// is the old file or the new one. Throws SystemError that says what failed and what to do.
void replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace fedselect
