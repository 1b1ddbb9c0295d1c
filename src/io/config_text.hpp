#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

// Values as TOML writes them.

std::string quote(std::string_view text);
/// The shortest text that reads back as the same number, and as a floating-point one.
std::string write_real(double value);

/// Whether a text can name a folder inside another one, on any system and in any shell.
bool is_folder_name(std::string_view text);
/// What is wrong with one that can't.
inline constexpr std::string_view kFolderNameRule =
    "names a folder: only letters, digits, '.', '_' and '-', at most 100 of them, beginning with a "
    "letter, digit or '_'";

/// An interval in words for users: "in (0, 1]", ">= 0".
std::string describe_interval(const Interval& range);

}  // namespace fedselect
