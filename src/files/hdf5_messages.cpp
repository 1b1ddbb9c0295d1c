#include "files/hdf5_messages.hpp"

#include <array>
#include <bit>

#include "base/bits.hpp"

namespace fedselect::hdf5 {

namespace {

using Form = Placement::Form;
using Kind = ValueType::Kind;

/// The next multiple of 8: old messages are padded to it.
std::size_t padded(std::size_t size) { return (size + 7) / 8 * 8; }

Extents parse_extents(std::string_view message) {
  constexpr std::size_t kMostAxes = 32;
  constexpr std::uint8_t kNull = 2;
  Cursor at(message);
  const std::uint8_t version = at.byte();
  const std::size_t axes = at.byte();
  at.skip(1);  // flags
  Extents extents;
  if (version == 1)
    at.skip(5);
  else
    extents.is_null = at.byte() == kNull;
  if (axes > kMostAxes) throw std::runtime_error("it has more than 32 axes");
  for (std::size_t i = 0; i < axes; ++i) extents.sizes.push_back(at.word());
  return extents;
}

/// Whether the rest of a type says that a number of it fills its bytes.
bool fills_bytes(Cursor& at, const ValueType& type) {
  const auto offset = at.number<std::uint16_t>();
  const auto precision = at.number<std::uint16_t>();
  return offset == 0 && precision == kByteBits * type.bytes;
}

bool is_ordinary_integer(Cursor& at, const ValueType& type) {
  return fills_bytes(at, type) && std::has_single_bit(type.bytes) && type.bytes <= 8;
}

/// Whether it is IEEE's of 4 or 8 bytes.
bool is_ordinary_real(Cursor& at, const ValueType& type, std::uint32_t bits) {
  struct Layout {
    std::uint64_t bytes;
    std::uint32_t sign, exponent_at, exponent_bits, mantissa_bits, bias;
  };
  constexpr std::array kLayouts{Layout{4, 31, 23, 8, 23, 127}, Layout{8, 63, 52, 11, 52, 1023}};
  constexpr std::uint32_t kImpliedBit = 2;
  if (!fills_bytes(at, type) || (bits >> 4U & 3U) != kImpliedBit || (bits >> 6U & 1U) != 0)
    return false;
  const std::uint32_t exponent_at = at.byte();
  const std::uint32_t exponent_bits = at.byte();
  const std::uint32_t mantissa_at = at.byte();
  const std::uint32_t mantissa_bits = at.byte();
  const auto bias = at.number<std::uint32_t>();
  for (const Layout& layout : kLayouts)
    if (type.bytes == layout.bytes && (bits >> 8U & 0xffU) == layout.sign &&
        exponent_at == layout.exponent_at && exponent_bits == layout.exponent_bits &&
        mantissa_at == 0 && mantissa_bits == layout.mantissa_bits && bias == layout.bias)
      return true;
  return false;
}

ValueType parse_type(std::string_view message) {
  constexpr unsigned kInteger = 0;
  constexpr unsigned kReal = 1;
  constexpr unsigned kText = 3;
  constexpr unsigned kVariable = 9;
  constexpr std::uint64_t kReferenceBytes = 16;
  Cursor at(message);
  const unsigned head = at.byte();
  const auto bits = static_cast<std::uint32_t>(at.number_of(3));
  ValueType type;
  type.bytes = at.number<std::uint32_t>();
  if (type.bytes == 0) throw std::runtime_error("its values have no bytes");
  type.is_big_endian = (bits & 1U) != 0;
  switch (head & 0xfU) {
    case kInteger:
      type.kind = Kind::integer;
      type.is_signed = (bits & 8U) != 0;
      type.is_ordinary = is_ordinary_integer(at, type);
      break;
    case kReal:
      type.kind = Kind::real;
      type.is_ordinary = is_ordinary_real(at, type, bits);
      break;
    case kText:
      type.kind = Kind::fixed_text;
      type.padding = static_cast<ValueType::Padding>(bits & 0xfU);
      break;
    case kVariable:
      if ((bits & 0xfU) == 1 && type.bytes == kReferenceBytes) type.kind = Kind::variable_text;
      break;
    default: break;
  }
  return type;
}

/// Where version 4 says that chunks are.
void parse_chunk_index(Cursor& at, std::uint8_t flags, Placement& placement) {
  constexpr std::uint8_t kSingle = 1;
  constexpr std::uint8_t kRow = 2;
  constexpr std::uint8_t kFilteredSingle = 2;
  const std::uint8_t index = at.byte();
  if (index == kSingle) {
    placement.form = Form::single_chunk;
    if ((flags & kFilteredSingle) != 0) {
      placement.bytes = at.word();
      placement.unfiltered = at.number<std::uint32_t>();
    }
  } else if (index == kRow) {
    placement.form = Form::row_of_chunks;
  } else {
    throw std::runtime_error(kUnknownForm);
  }
  placement.address = at.word();
}

void parse_chunks(Cursor& at, std::uint8_t version, std::uint64_t value_bytes,
                  Placement& placement) {
  constexpr std::size_t kMostAxes = 32;
  const std::uint8_t flags = version == 3 ? 0 : at.byte();
  const std::size_t axes = at.byte();
  if (axes < 2 || axes > kMostAxes + 1) throw std::runtime_error("its chunks have no axes");
  if (version == 3) placement.address = at.word();
  const std::size_t extent_bytes = version == 3 ? 4 : at.byte();
  if (extent_bytes > 8) throw std::runtime_error(kUnknownForm);
  for (std::size_t i = 0; i < axes; ++i) placement.chunk.push_back(at.number_of(extent_bytes));
  for (const std::uint64_t extent : placement.chunk)
    if (extent == 0) throw std::runtime_error("its chunks are empty");
  if (placement.chunk.back() != value_bytes)
    throw std::runtime_error("its chunks hold values of another size");
  placement.chunk.pop_back();
  if (version == 3)
    placement.form = Form::tree;
  else
    parse_chunk_index(at, flags, placement);
}

Placement parse_placement(std::string_view message, std::uint64_t value_bytes) {
  enum Class : std::uint8_t { kCompact, kContiguous, kChunked, kVirtual };
  Cursor at(message);
  const std::uint8_t version = at.byte();
  if (version != 3 && version != 4) throw std::runtime_error(kUnknownForm);
  Placement placement;
  switch (at.byte()) {
    case kCompact: {
      placement.form = Form::compact;
      const std::size_t size = at.number<std::uint16_t>();
      placement.values = at.take(size);
      break;
    }
    case kContiguous:
      placement.form = Form::contiguous;
      placement.address = at.word();
      placement.bytes = at.word();
      break;
    case kChunked: parse_chunks(at, version, value_bytes, placement); break;
    case kVirtual: break;
    default: throw std::runtime_error(kUnknownForm);
  }
  return placement;
}

std::vector<Filter> parse_filters(std::string_view message) {
  constexpr std::uint16_t kFirstNamed = 256;
  Cursor at(message);
  const std::uint8_t version = at.byte();
  const std::size_t count = at.byte();
  if (version == 1) at.skip(6);
  std::vector<Filter> filters;
  for (std::size_t i = 0; i < count; ++i) {
    Filter filter{.id = at.number<std::uint16_t>(), .parameters = {}};
    const bool is_named = version == 1 || filter.id >= kFirstNamed;
    const std::size_t name = is_named ? at.number<std::uint16_t>() : 0;
    at.skip(2);  // flags
    const std::size_t parameters = at.number<std::uint16_t>();
    at.skip(version == 1 ? padded(name) : name);
    for (std::size_t p = 0; p < parameters; ++p)
      filter.parameters.push_back(at.number<std::uint32_t>());
    if (version == 1 && parameters % 2 == 1) at.skip(4);
    filters.push_back(std::move(filter));
  }
  return filters;
}

std::string parse_fill(std::string_view message, std::uint64_t value_bytes) {
  Cursor at(message);
  const std::uint8_t version = at.byte();
  bool is_defined = false;
  if (version < 3) {
    at.skip(2);  // when it is written
    is_defined = at.byte() != 0 || version == 1;
  } else {
    is_defined = (at.byte() & 0x20) != 0;
  }
  const std::size_t size = is_defined ? at.number<std::uint32_t>() : 0;
  std::string fill(at.take(size));
  if (!fill.empty() && fill.size() != value_bytes)
    throw std::runtime_error("the value for what was never written is of another size");
  return fill;
}

}  // namespace

Description describe(const Object& data) {
  Description description{.extents = parse_extents(data.bytes(MessageType::dataspace)),
                          .type = parse_type(data.bytes(MessageType::datatype)),
                          .placement = {},
                          .filters = {},
                          .fill = {}};
  const std::uint64_t value_bytes = description.type.bytes;
  if (!data.has(MessageType::external_files))
    description.placement = parse_placement(data.bytes(MessageType::layout), value_bytes);
  const Placement& placement = description.placement;
  if (placement.is_chunked() && placement.chunk.size() != description.extents.sizes.size())
    throw std::runtime_error("its chunks have other axes than it has");
  if (data.has(MessageType::filters))
    description.filters = parse_filters(data.bytes(MessageType::filters));
  if (placement.is_chunked() && data.has(MessageType::fill_value))
    description.fill = parse_fill(data.bytes(MessageType::fill_value), value_bytes);
  return description;
}

Attribute parse_attribute(const std::string& message) {
  constexpr std::uint8_t kParts = 3;  // flags: type or extents stand elsewhere
  Cursor at(message);
  const std::uint8_t version = at.byte();
  const std::uint8_t flags = at.byte();
  const std::size_t name_bytes = at.number<std::uint16_t>();
  const std::size_t type_bytes = at.number<std::uint16_t>();
  const std::size_t extents_bytes = at.number<std::uint16_t>();
  if (version > 2) at.skip(1);  // character set
  const auto part = [&](std::size_t size) { return at.take(version == 1 ? padded(size) : size); };
  const std::string_view name = part(name_bytes);
  Attribute attribute;
  attribute.name = name.substr(0, name.find('\0'));
  const std::string_view type = part(type_bytes);
  const std::string_view extents = part(extents_bytes);
  if (version > 1 && (flags & kParts) != 0) return attribute;  // of the type "other"
  attribute.type = parse_type(type);
  attribute.extents = parse_extents(extents);
  attribute.value = at.take(at.left());
  return attribute;
}

}  // namespace fedselect::hdf5
