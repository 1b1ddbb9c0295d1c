#pragma once

#include <toml++/toml.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/config_problems.hpp"

namespace fedselect {

/// One "key=value" of the command line.
struct Override {
  std::string text;  ///< as given
  std::string key;   ///< "train.lr"
  std::string raw;   ///< the value as given
  toml::table holder;
  bool used = false;  ///< a section has that key

  /// The value as TOML reads it; a text where TOML can't.
  const toml::node& value() const { return *holder.get("value"); }
  Place place() const { return {.line = 0, .column = 0, .override = text}; }
};

/// The overrides of a command line, in their order.
class Overrides {
 public:
  /// What isn't "key=value" becomes a problem.
  Overrides(const std::vector<std::string>& texts, Problems& problems);

  /// The last override of any of these keys, null if there is none; marks all of them as used.
  const Override* find(const std::vector<std::string>& keys);
  /// Those that no section asked for.
  std::vector<const Override*> unused() const;

 private:
  std::vector<std::unique_ptr<Override>> overrides_;  ///< places keep pointing at their texts
};

}  // namespace fedselect
