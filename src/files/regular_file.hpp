#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace fedselect {

// What stands in the place of a file may be a pipe or a device, which keeps its reader waiting for
// ever or never ends. Whoever opens a file that somebody else may have put there asks here first.

/// "is a pipe, not a file"; empty for a regular file, a link to one, and for what is not there.
std::string irregularity(const std::filesystem::path& path);

/// Throws InputError if something is there that is no regular file.
void require_regular_file(const std::filesystem::path& path);

/// The file to read its bytes from; a bad stream if it is not there or not permitted. Throws
/// InputError if it is no regular file.
std::ifstream open_regular_file(const std::filesystem::path& path);

/// All bytes of a text that the user named. Throws InputError, which ends with `remedy`, if it
/// can't be read, is no regular file, or has more than `most` bytes.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t most,
                           const std::string& remedy);

}  // namespace fedselect
