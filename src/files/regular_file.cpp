#include "files/regular_file.hpp"

#include <fmt/format.h>

#include <system_error>

#include "base/error.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

}  // namespace

std::string irregularity(const fs::path& path) {
  std::error_code error;
  switch (fs::status(path, error).type()) {
    case fs::file_type::directory: return "is a folder, not a file";
    case fs::file_type::fifo: return "is a pipe, not a file";
    case fs::file_type::socket: return "is a socket, not a file";
    case fs::file_type::block:
    case fs::file_type::character: return "is a device, not a file";
    default: return {};
  }
}

void require_regular_file(const fs::path& path) {
  if (const std::string what = irregularity(path); !what.empty())
    throw InputError(
        fmt::format("{}: {}: remove it, or put the file in its place", path.string(), what));
}

std::ifstream open_regular_file(const fs::path& path) {
  require_regular_file(path);
  return std::ifstream(path, std::ios::binary);
}

std::string read_text_file(const fs::path& path, std::uint64_t most, const std::string& remedy) {
  const auto refuse = [&](std::string_view why) {
    throw InputError(fmt::format("{}: {}: {}", path.string(), why, remedy));
  };
  if (const std::string what = irregularity(path); !what.empty()) refuse(what);
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  if (!file || error) refuse("cannot be read (missing, or not permitted)");
  if (size > most) refuse(fmt::format("has {} bytes, more than the {} that are read", size, most));
  std::string text(size, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(size)))
    refuse("cannot be read to its end");
  return text;
}

}  // namespace fedselect
