#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "files/hdf5_messages.hpp"

namespace fedselect::hdf5 {

/// Whether numbers of this type stand in a file as T stands in memory.
template <class T>
bool is_stored_as(const ValueType& type) {
  const bool is_same_kind = std::is_integral_v<T> ? type.kind == ValueType::Kind::integer &&
                                                        type.is_signed == std::is_signed_v<T>
                                                  : type.kind == ValueType::Kind::real;
  return is_same_kind && type.bytes == sizeof(T) && (sizeof(T) == 1 || !type.is_big_endian);
}

/// A number that the wanted type can't hold.
class NumberTooLarge : public std::runtime_error {
 public:
  NumberTooLarge()
      : runtime_error("holds a number that is too large, or below 0 where none may be") {}
};

/// `value` as a T; throws NumberTooLarge if T can't hold it.
template <class T, class Stored>
T convert_number(Stored value) {
  bool fits = true;
  if constexpr (std::is_integral_v<T>)
    fits = std::in_range<T>(value);
  else if constexpr (std::is_floating_point_v<Stored>)
    fits = !std::isfinite(value) || std::abs(static_cast<double>(value)) <=
                                        static_cast<double>(std::numeric_limits<T>::max());
  if (!fits) throw NumberTooLarge();
  return static_cast<T>(value);
}

template <class T, class Stored>
void convert_all(std::span<const std::byte> bytes, bool is_big_endian, std::span<T> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::array<std::byte, sizeof(Stored)> one;
    std::memcpy(one.data(), bytes.data() + i * sizeof(Stored), sizeof(Stored));
    if (is_big_endian) std::reverse(one.begin(), one.end());
    values[i] = convert_number<T>(std::bit_cast<Stored>(one));
  }
}

/// Converts numbers of an ordinary type; of real ones only to real T.
template <class T>
void convert_all(std::span<const std::byte> bytes, const ValueType& type, std::span<T> values) {
  const bool big = type.is_big_endian;
  if (type.kind == ValueType::Kind::real) {
    if constexpr (std::is_floating_point_v<T>)
      type.bytes == 4 ? convert_all<T, float>(bytes, big, values)
                      : convert_all<T, double>(bytes, big, values);
    return;
  }
  switch (type.bytes) {
    case 1:
      return type.is_signed ? convert_all<T, std::int8_t>(bytes, big, values)
                            : convert_all<T, std::uint8_t>(bytes, big, values);
    case 2:
      return type.is_signed ? convert_all<T, std::int16_t>(bytes, big, values)
                            : convert_all<T, std::uint16_t>(bytes, big, values);
    case 4:
      return type.is_signed ? convert_all<T, std::int32_t>(bytes, big, values)
                            : convert_all<T, std::uint32_t>(bytes, big, values);
    default:
      return type.is_signed ? convert_all<T, std::int64_t>(bytes, big, values)
                            : convert_all<T, std::uint64_t>(bytes, big, values);
  }
}

}  // namespace fedselect::hdf5
