#include "files/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "base/error.hpp"
#include "files/atomic_file.hpp"
#include "files/safetensors_header.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "files hold values as memory does");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kHeaderAlignment = 8;

float from_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const auto fraction = static_cast<float>(bits & 0x3ff);
  float value = 0;
  if (exponent == 0)
    value = std::ldexp(fraction, -24);
  else if (exponent == 0x1f)
    value = fraction == 0 ? std::numeric_limits<float>::infinity()
                          : std::numeric_limits<float>::quiet_NaN();
  else
    value = std::ldexp(fraction + 1024, exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

float from_brain(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float from_double(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (std::isfinite(value) && std::abs(value) > kLargest)
    throw std::runtime_error("holds a value that is too large for float32");
  return static_cast<float>(value);
}

/// Converts each value of `bytes` from the type Stored.
template <class Stored, class Convert>
std::vector<float> convert(const std::string& bytes, const Convert& from) {
  std::vector<float> values(bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = from(stored);
  }
  return values;
}

std::vector<float> to_floats(const std::string& dtype, const std::string& bytes) {
  if (dtype == "F64") return convert<double>(bytes, from_double);
  if (dtype == "F16") return convert<std::uint16_t>(bytes, from_half);
  if (dtype == "BF16") return convert<std::uint16_t>(bytes, from_brain);
  return convert<float>(bytes, [](float value) { return value; });
}

bool counts_batches(const HeaderEntry& entry) {
  return entry.dtype == "I64" && entry.name.ends_with(kBatchCount);
}

std::uint64_t value_bytes(const HeaderEntry& entry) {
  if (entry.dtype == "F32") return 4;
  if (entry.dtype == "F64" || counts_batches(entry)) return 8;
  if (entry.dtype == "F16" || entry.dtype == "BF16") return 2;
  throw std::runtime_error(fmt::format("tensor {} is of type {}, not F32, F16, BF16 or F64",
                                       quote_name(entry.name), quote_name(entry.dtype)));
}

/// Bytes that a tensor of this shape has; the largest number where that would be larger.
std::uint64_t shape_bytes(const HeaderEntry& entry) {
  if (std::find(entry.shape.begin(), entry.shape.end(), 0U) != entry.shape.end()) return 0;
  std::uint64_t bytes = value_bytes(entry);
  for (const std::uint64_t extent : entry.shape)
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return ~std::uint64_t{0};
  return bytes;
}

/// A file to read. Errors of reading are std::runtime_error without its name.
class InputFile {
 public:
  /// Throws InputError with the name if there is nothing to read.
  explicit InputFile(const fs::path& path) {
    std::error_code error;
    if (fs::is_regular_file(path, error)) bytes_ = fs::file_size(path, error);
    if (bytes_ > 0 && !error) stream_.open(path, std::ios::binary);
    if (!stream_.is_open())
      throw InputError(fmt::format(
          "{}: is missing, empty, or can't be read: name a safetensors file", path.string()));
  }

  std::uint64_t bytes() const { return bytes_; }
  std::string read(std::uint64_t begin, std::uint64_t size) {
    std::string bytes(size, '\0');
    stream_.seekg(static_cast<std::streamoff>(begin));
    if (!stream_.read(bytes.data(), static_cast<std::streamsize>(size)))
      throw std::runtime_error("can't be read");
    return bytes;
  }

 private:
  std::ifstream stream_;
  std::uint64_t bytes_ = 0;
};

std::vector<HeaderEntry> read_header(InputFile& file, std::uint64_t& header_bytes) {
  if (file.bytes() < kLengthBytes)
    throw std::runtime_error(fmt::format("has {} bytes: it is no safetensors file", file.bytes()));
  const std::string length = file.read(0, kLengthBytes);
  std::memcpy(&header_bytes, length.data(), kLengthBytes);
  if (header_bytes > file.bytes() - kLengthBytes)
    throw std::runtime_error(
        fmt::format("has {} bytes and claims a header of {}: it is torn, or no safetensors file",
                    file.bytes(), header_bytes));
  return parse_safetensors_header(file.read(kLengthBytes, header_bytes));
}

/// Checks that the entries, in the order of their bytes, are of the size that their shape says and
/// fill `data_bytes` without gap or overlap.
void check_offsets(const std::vector<HeaderEntry>& entries, std::uint64_t data_bytes) {
  std::uint64_t end = 0;
  for (const HeaderEntry& entry : entries) {
    const std::string name = quote_name(entry.name);
    if (entry.offsets[0] != end || entry.offsets[1] < end)
      throw std::runtime_error(fmt::format(
          "tensor {} has the bytes from {} to {}, where the ones before it end at {}: gaps and "
          "overlaps are not permitted",
          name, entry.offsets[0], entry.offsets[1], end));
    end = entry.offsets[1];
    if (end > data_bytes)
      throw std::runtime_error(
          fmt::format("tensor {} ends at byte {} of {}: the file is torn", name, end, data_bytes));
    if (shape_bytes(entry) != end - entry.offsets[0])
      throw std::runtime_error(
          fmt::format("tensor {} has {} bytes, which is not what its shape says", name,
                      end - entry.offsets[0]));
  }
  if (end != data_bytes)
    throw std::runtime_error(fmt::format("has {} bytes behind the last tensor", data_bytes - end));
}

std::vector<FloatTensor> read_tensors(const fs::path& path) {
  InputFile file(path);
  std::uint64_t header_bytes = 0;
  auto entries = read_header(file, header_bytes);
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.offsets < b.offsets; });
  const std::uint64_t data = kLengthBytes + header_bytes;
  check_offsets(entries, file.bytes() - data);
  std::vector<FloatTensor> tensors;
  for (HeaderEntry& entry : entries) {
    if (counts_batches(entry)) continue;
    const auto bytes = file.read(data + entry.offsets[0], entry.offsets[1] - entry.offsets[0]);
    try {
      auto values = to_floats(entry.dtype, bytes);
      tensors.push_back({std::move(entry.name), std::move(entry.shape), std::move(values)});
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("tensor {} {}", quote_name(entry.name), error.what()));
    }
  }
  return tensors;
}

constexpr std::string_view type_name(TensorView::Type type) {
  switch (type) {
    case TensorView::Type::float32: return "F32";
    case TensorView::Type::int64: return "I64";
    case TensorView::Type::uint8: return "U8";
  }
  return "";
}

constexpr std::size_t bytes_of_type(TensorView::Type type) {
  switch (type) {
    case TensorView::Type::float32: return 4;
    case TensorView::Type::int64: return 8;
    case TensorView::Type::uint8: return 1;
  }
  return 0;
}

}  // namespace

std::vector<FloatTensor> read_safetensors(const fs::path& path) {
  try {
    return read_tensors(path);
  } catch (const InputError&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw InputError(
        fmt::format("{}: {}: save it again (safetensors.torch.save_file, or fedselect export)",
                    path.string(), error.what()));
  }
}

void write_safetensors(const fs::path& path, std::vector<TensorView> tensors) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return bytes_of_type(a.type) > bytes_of_type(b.type);
  });
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::size_t end = 0;
  for (const TensorView& tensor : tensors) {
    const std::size_t begin = end;
    end += tensor.bytes.size();
    header[tensor.name] = {
        {"dtype", type_name(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  const std::uint64_t length = text.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes.reserve(kLengthBytes + length + end);
  bytes += text;
  for (const TensorView& tensor : tensors)
    bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  replace_file(path, bytes);
}

}  // namespace fedselect
