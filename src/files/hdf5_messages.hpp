#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/hdf5_objects.hpp"

namespace fedselect::hdf5 {

// What messages of object headers say of values. Sources and errors as in hdf5_objects.hpp.

/// Of a data set or an attribute [IV.A.2.b].
struct Extents {
  bool is_null = false;              ///< not even a single value
  std::vector<std::uint64_t> sizes;  ///< empty: a single value
};

/// What a value is [IV.A.2.d].
struct ValueType {
  enum class Kind { integer, real, fixed_text, variable_text, other };
  enum class Padding : std::uint8_t { terminated = 0, zeros = 1, spaces = 2 };

  Kind kind = Kind::other;
  std::uint64_t bytes = 0;
  bool is_signed = false;
  bool is_big_endian = false;
  bool is_ordinary = false;  ///< of a number: stored as processors have it
  Padding padding = Padding::terminated;
};

/// [IV.A.2.l]
struct Filter {
  static constexpr std::uint16_t kDeflate = 1;
  static constexpr std::uint16_t kShuffle = 2;
  static constexpr std::uint16_t kFletcher32 = 3;

  std::uint16_t id = 0;
  std::vector<std::uint32_t> parameters;
};

/// Where the values of a data set are [IV.A.2.i].
struct Placement {
  enum class Form { compact, contiguous, tree, single_chunk, row_of_chunks, elsewhere };

  Form form = Form::elsewhere;
  std::string values;                         ///< compact: themselves
  std::uint64_t address = kUndefinedAddress;  ///< of the values, the tree, or the chunks
  std::uint64_t bytes = 0;                    ///< contiguous, single_chunk: stored
  std::uint32_t unfiltered = 0;               ///< single_chunk: bit i: filter i was left out
  std::vector<std::uint64_t> chunk;           ///< extents of a chunk

  bool is_chunked() const { return !chunk.empty(); }
};

/// All that a data set's header says.
struct Description {
  Extents extents;
  ValueType type;
  Placement placement;
  std::vector<Filter> filters;
  std::string fill;  ///< the value where no chunk is; empty: zeros
};

Description describe(const Object& data);

/// [IV.A.2.m]
struct Attribute {
  std::string name;
  ValueType type;
  Extents extents;
  std::string value;
};

Attribute parse_attribute(const std::string& message);

}  // namespace fedselect::hdf5
