#include "files/hdf5_filters.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace fedselect::hdf5 {

namespace {

constexpr std::size_t kChecksumBytes = 4;

/// To at most `most` bytes.
std::string inflate(const std::string& stored, std::uint64_t most) {
  std::string values(most, '\0');
  uLongf size = most;
  const int code =
      uncompress(reinterpret_cast<Bytef*>(values.data()), &size,
                 reinterpret_cast<const Bytef*>(stored.data()), static_cast<uLong>(stored.size()));
  if (code != Z_OK) throw std::runtime_error("what is compressed in it is damaged");
  values.resize(size);
  return values;
}

/// Puts the bytes of each value of `width` bytes together again.
std::string unshuffle(const std::string& stored, std::size_t width) {
  const std::size_t count = stored.size() / width;
  std::string values = stored;  // what is behind the last whole value stays
  for (std::size_t b = 0; b < width; ++b)
    for (std::size_t i = 0; i < count; ++i) values[i * width + b] = stored[b * count + i];
  return values;
}

/// Fletcher's checksum of 16-bit words, the most significant byte first, as HDF5 has it.
std::uint32_t fletcher32(std::string_view bytes) {
  constexpr std::size_t kBlock = 360;  // words whose sums fit into 32 bits
  constexpr std::uint32_t kLow = 0xffff;
  const auto fold = [](std::uint32_t sum) { return (sum & kLow) + (sum >> 16U); };
  const auto at = [&](std::size_t i) -> std::uint32_t {
    return static_cast<unsigned char>(bytes[i]);
  };
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  const std::size_t words = bytes.size() / 2;
  for (std::size_t done = 0; done < words;) {
    const std::size_t end = std::min(words, done + kBlock);
    for (; done < end; ++done) {
      first += at(2 * done) << 8U | at(2 * done + 1);
      second += first;
    }
    first = fold(first);
    second = fold(second);
  }
  if (bytes.size() % 2 == 1) {
    first = fold(first + (at(bytes.size() - 1) << 8U));
    second = fold(second + first);
  }
  return fold(second) << 16U | fold(first);
}

std::string verify(std::string stored) {
  if (stored.size() < kChecksumBytes) throw std::runtime_error("a checksum in it is missing");
  const std::size_t size = stored.size() - kChecksumBytes;
  const std::string_view bytes(stored);
  const auto checksum = Cursor(bytes.substr(size)).number<std::uint32_t>();
  if (fletcher32(bytes.substr(0, size)) != checksum)
    throw std::runtime_error("a checksum in it is wrong");
  stored.resize(size);
  return stored;
}

}  // namespace

std::string undo_filters(const std::vector<Filter>& filters, std::uint32_t unfiltered,
                         std::string stored, std::uint64_t size) {
  const std::uint64_t most = size + filters.size() * kChecksumBytes;
  for (std::size_t i = filters.size(); i-- > 0;) {
    if (i < std::numeric_limits<std::uint32_t>::digits && (unfiltered >> i & 1U) != 0) continue;
    const Filter& filter = filters[i];
    const std::size_t width = filter.parameters.empty() ? 1 : filter.parameters.front();
    if (filter.id == Filter::kDeflate)
      stored = inflate(stored, most);
    else if (filter.id == Filter::kFletcher32)
      stored = verify(std::move(stored));
    else if (filter.id == Filter::kShuffle && width > 1)
      stored = unshuffle(stored, width);
  }
  if (stored.size() != size) throw std::runtime_error("a chunk in it is of another size");
  return stored;
}

}  // namespace fedselect::hdf5
