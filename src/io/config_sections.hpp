#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/fields.hpp"
#include "io/config.hpp"

namespace fedselect {

/// An entry of the table of sections. The one with an empty name holds the top-level keys.
struct Section {
  std::string_view name;
  std::string_view meaning;
  void (*describe)(Settings&, Fields&);
};

/// All sections, in the order in which a config is written; the top-level keys come first.
std::span<const Section> sections();

/// What names the tables of methods: [[method]].
inline constexpr std::string_view kMethodTable = "method";

std::vector<std::string_view> names_of_methods();

/// Declares what says which method a table is: `name` and `label`.
void describe_identity(MethodConfig& method, Fields& fields);
/// Declares `passes`, which stands in every such table before the algorithm's own keys.
void describe_passes(MethodConfig& method, Fields& fields);

}  // namespace fedselect
