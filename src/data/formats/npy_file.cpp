#include "data/formats/npy_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

namespace fedselect {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kPreamble = 8;  // magic, major and minor version
constexpr std::size_t kMostHeader = 65536;
constexpr std::string_view kNoHeader = "is no .npy file";

/// The text behind 'key': in NumPy's header, a Python dict in one line; empty if there is none.
std::string_view value_of(std::string_view header, std::string_view key) {
  const auto at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) return {};
  auto value = header.substr(at + key.size() + 3);
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

/// The text of a value between two signs: 'text' or (text).
std::string_view between(std::string_view value, char open, char close) {
  if (value.empty() || value.front() != open) return {};
  const auto end = value.find(close, 1);
  return end == std::string_view::npos ? std::string_view{} : value.substr(1, end - 1);
}

template <class T>
std::int64_t load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  if constexpr (std::is_same_v<T, std::uint64_t>)
    return static_cast<std::int64_t>(std::min<T>(value, std::numeric_limits<std::int64_t>::max()));
  return static_cast<std::int64_t>(value);
}

/// `kind`: NumPy's code without the order of bytes.
std::int64_t load(std::string_view kind, const std::byte* from) {
  if (kind == "u1") return load<std::uint8_t>(from);
  if (kind == "i1") return load<std::int8_t>(from);
  if (kind == "u2") return load<std::uint16_t>(from);
  if (kind == "i2") return load<std::int16_t>(from);
  if (kind == "u4") return load<std::uint32_t>(from);
  if (kind == "i4") return load<std::int32_t>(from);
  if (kind == "u8") return load<std::uint64_t>(from);
  return load<std::int64_t>(from);
}

}  // namespace

static_assert(std::endian::native == std::endian::little, "values are taken as they stand");

NpyFile::NpyFile(std::filesystem::path path) : file_(std::move(path)) {
  std::array<std::byte, kPreamble> preamble{};
  if (file_.size() < kPreamble)
    file_.refuse(kNoHeader, fmt::format("it has {} bytes", file_.size()));
  file_.read(0, preamble);
  if (std::memcmp(preamble.data(), kMagic.data(), kMagic.size()) != 0)
    file_.refuse(kNoHeader, "it doesn't begin with \\x93NUMPY");
  const auto version = std::to_integer<unsigned>(preamble[kMagic.size()]);
  if (version < 1 || version > 3)
    file_.refuse("has an unknown version", fmt::format("{}, known are 1 to 3", version));
  // The header's length: two bytes in version 1, else four, the least significant first.
  std::array<std::byte, 4> digits{};
  const std::size_t width = version == 1 ? 2 : 4;
  file_.read(kPreamble, std::span(digits).first(width));
  const auto length = std::bit_cast<std::uint32_t>(digits);
  begin_ = kPreamble + width + length;
  if (length > kMostHeader || begin_ > file_.size())
    file_.refuse("is truncated", fmt::format("its header announces {} bytes", length));
  std::string header(length, ' ');
  file_.read(kPreamble + width, std::as_writable_bytes(std::span(header)));
  parse(header);
}

void NpyFile::parse(std::string_view header) {
  type_ = between(value_of(header, "descr"), '\'', '\'');
  constexpr std::string_view kKinds = "uif";
  if (type_.size() != 3 || kKinds.find(type_[1]) == std::string_view::npos ||
      std::string_view("1248").find(type_[2]) == std::string_view::npos)
    file_.refuse("holds no plain numbers", fmt::format("its type is '{}'", type_));
  value_bytes_ = static_cast<std::size_t>(type_[2] - '0');
  if (!value_of(header, "fortran_order").starts_with("False"))
    file_.refuse("is not in C order", "save numpy.ascontiguousarray of it");
  const auto shape = value_of(header, "shape");
  const auto axes = between(shape, '(', ')');
  const auto* at = axes.data();
  const auto* end = axes.data() + axes.size();
  std::size_t values = 1;
  const auto most = (file_.size() - begin_) / value_bytes_;
  while (at != end) {
    std::size_t length = 0;
    const auto [next, code] = std::from_chars(at, end, length);
    if (code != std::errc{}) break;
    shape_.push_back(length);
    if (length != 0 && values > most / length)
      file_.refuse("is truncated", fmt::format("{} values of '{}' don't fit into its {} bytes",
                                               fmt::join(shape_, " x "), type_, file_.size()));
    values *= length;
    at = std::find_if(next, end, [](char c) { return c != ',' && c != ' '; });
  }
  if (at != end || shape_.empty())
    file_.refuse(kNoHeader, fmt::format("its shape is {}", shape.substr(0, shape.find(')') + 1)));
  if (begin_ + values * value_bytes_ != file_.size())
    file_.refuse("is too long",
                 fmt::format("it goes on after {} values", fmt::join(shape_, " x ")));
}

void NpyFile::read_bytes(std::size_t first, std::span<std::byte> values) {
  file_.read(begin_ + first, values);
}

void NpyFile::read_integers(std::span<std::int32_t> values) {
  if (type_[1] == 'f' || (type_[0] != '<' && value_bytes_ > 1))
    refuse("holds no whole numbers, least significant byte first",
           fmt::format("its type is '{}'", type_));
  const std::string_view kind = std::string_view(type_).substr(1);
  std::vector<std::byte> bytes(values.size() * value_bytes_);
  file_.read(begin_, bytes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = load(kind, &bytes[i * value_bytes_]);
    if (!std::in_range<std::int32_t>(value))
      refuse("holds too large a number", fmt::format("{} at {}", value, i));
    values[i] = static_cast<std::int32_t>(value);
  }
}

}  // namespace fedselect
