#include "data/idx.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

constexpr std::size_t kMagicBytes = 4;
constexpr std::size_t kLengthBytes = 4;
constexpr unsigned kUnsignedByte = 8;           // IDX's code of the value type
constexpr std::size_t kDeflateRatio = 1032;     // deflate never packs tighter than this
constexpr unsigned kBufferBytes = 1U << 18;     // what zlib reads at once
constexpr std::size_t kPieceBytes = 1U << 30U;  // zlib counts in int
constexpr std::string_view kFetchAgain = "fetch it again, or set data.path to another folder";

std::string join(const std::vector<std::size_t>& lengths) {
  return fmt::format("{}", fmt::join(lengths, " x "));
}

}  // namespace

void IdxReader::Close::operator()(gzFile_s* stream) const { gzclose_r(stream); }

IdxReader::IdxReader(std::filesystem::path file, std::size_t axes) : file_(std::move(file)) {
  if (const std::string what = irregularity(file_); !what.empty())
    refuse(what, "an IDX file must be there", kFetchAgain);
  errno = 0;
  stream_.reset(gzopen(file_.c_str(), "rb"));
  if (!stream_)
    refuse("can't be opened", std::generic_category().message(errno),
           "make it readable, or set data.path to another folder");
  gzbuffer(stream_.get(), kBufferBytes);
  read_magic(axes);
  read_lengths(axes);
}

void IdxReader::read_magic(std::size_t axes) {
  std::array<std::byte, kMagicBytes> magic{};
  const auto found = read(magic);
  if (found == 0) refuse("is empty", "not even a header is there", kFetchAgain);
  if (found < kMagicBytes) refuse_header();
  const std::array<std::byte, kMagicBytes> wanted{
      std::byte{0}, std::byte{0}, std::byte{kUnsignedByte}, static_cast<std::byte>(axes)};
  if (magic != wanted)
    refuse(fmt::format("is no IDX file of unsigned bytes with {} axes", axes),
           fmt::format("it begins with bytes {:02x}, not {:02x}", fmt::join(magic, " "),
                       fmt::join(wanted, " ")),
           "put the right file in its place, or set data.path to another folder");
}

void IdxReader::read_lengths(std::size_t axes) {
  for (std::size_t axis = 0; axis < axes; ++axis) {
    std::array<std::byte, kLengthBytes> digits{};
    if (read(digits) < kLengthBytes) refuse_header();
    std::size_t length = 0;
    for (const auto digit : digits) length = length << 8U | std::to_integer<std::size_t>(digit);
    lengths_.push_back(length);
  }
  if (std::find(lengths_.begin(), lengths_.end(), std::size_t{0}) != lengths_.end())
    refuse("holds no values", fmt::format("its header says {}", join(lengths_)), kFetchAgain);
  // The file's size bounds what it can hold, so that a wrong header can't ask for terabytes.
  const auto bytes = static_cast<std::size_t>(std::filesystem::file_size(file_));
  const bool plain = gzdirect(stream_.get()) == 1;
  const auto most = plain ? bytes - kMagicBytes - axes * kLengthBytes : bytes * kDeflateRatio;
  for (const auto length : lengths_) {
    if (size_ > most / length)
      refuse(fmt::format("can't hold the {} values that its header announces", join(lengths_)),
             fmt::format("it has only {} bytes: truncated or damaged", bytes), kFetchAgain);
    size_ *= length;
  }
}

void IdxReader::read_values(std::span<std::byte> values) {
  expect(values.size() == size_, "room for all values");
  const auto found = read(values);
  if (found < size_)
    refuse("is truncated", fmt::format("it ends after {} of {} values", found, join(lengths_)),
           kFetchAgain);
  // Looking past the end also makes zlib compare the checksum.
  std::byte beyond{};
  const auto more = read({&beyond, 1});
  int code = Z_OK;
  gzerror(stream_.get(), &code);
  if (code == Z_BUF_ERROR) refuse("is truncated", "its checksum is missing", kFetchAgain);
  if (more != 0)
    refuse("is too long",
           fmt::format("it goes on after the {} values that its header announces", join(lengths_)),
           kFetchAgain);
}

/// Reads until `bytes` is full or the file ends; the number of bytes read.
std::size_t IdxReader::read(std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto piece = std::min(bytes.size() - done, kPieceBytes);
    const int found = gzread(stream_.get(), bytes.data() + done, static_cast<unsigned>(piece));
    if (found == 0) break;
    if (found < 0) refuse_stream();
    done += static_cast<std::size_t>(found);
  }
  return done;
}

void IdxReader::refuse_header() const {
  refuse("is truncated", "it ends within its header", kFetchAgain);
}

void IdxReader::refuse_stream() const {
  int code = Z_OK;
  const std::string text = gzerror(stream_.get(), &code);
  refuse("can't be read", code == Z_ERRNO ? std::generic_category().message(errno) : text,
         kFetchAgain);
}

void IdxReader::refuse(std::string_view problem, std::string_view why,
                       std::string_view advice) const {
  throw InputError(fmt::format("{} {} ({}): {}", file_.string(), problem, why, advice));
}

std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& stem) {
  std::error_code code;  // stays clear where the file just isn't there
  for (const auto& name : {stem, stem + ".gz"})
    if (std::filesystem::exists(folder / name, code)) return folder / name;
  std::error_code ignored;
  std::string why = "there is no such folder";
  if (code)
    why = code.message();
  else if (std::filesystem::is_directory(folder, ignored))
    why = "neither it nor its .gz is there";
  throw InputError(fmt::format(
      "{} is missing ({}): install Debian's package dataset-fashion-mnist, or set data.path to a "
      "folder that holds {{train,t10k}}-images-idx3-ubyte and -labels-idx1-ubyte, plain or .gz",
      (folder / stem).string(), why));
}

}  // namespace fedselect
