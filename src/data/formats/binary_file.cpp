#include "data/formats/binary_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

BinaryFile::BinaryFile(std::filesystem::path path) : path_(std::move(path)) {
  if (const std::string what = irregularity(path_); !what.empty())
    refuse(what, "a file must be there");
  std::error_code code;
  size_ = std::filesystem::file_size(path_, code);
  if (code) refuse("can't be read", code.message());
  errno = 0;
  stream_.open(path_, std::ios::binary);
  if (!stream_) refuse("can't be opened", std::generic_category().message(errno));
}

void BinaryFile::read(std::uint64_t offset, std::span<std::byte> bytes) {
  stream_.seekg(static_cast<std::streamoff>(offset));
  stream_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream_)
    refuse("is truncated", fmt::format("it ends before byte {}", offset + bytes.size()));
}

void BinaryFile::refuse(std::string_view problem, std::string_view why) const {
  throw InputError(fmt::format("{} {} ({}): fetch it again, or set data.path to another folder",
                               path_.string(), problem, why));
}

}  // namespace fedselect
