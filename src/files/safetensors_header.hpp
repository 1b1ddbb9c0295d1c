#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// What the header of a safetensors file says of one tensor.
struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;  ///< begin and end of its bytes behind the header
};

/// Entries in the order of the header, each with all its fields and two offsets; the metadata is
/// skipped. Throws std::runtime_error that says what is wrong: "the header ...", "tensor X ...".
std::vector<HeaderEntry> parse_safetensors_header(std::string_view json);

/// A name for messages: in quotes, cut if it is long, without control characters.
std::string quote_name(std::string_view name);

}  // namespace fedselect
