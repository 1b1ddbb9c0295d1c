#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/fields.hpp"
#include "io/config_overrides.hpp"
#include "io/config_problems.hpp"

namespace fedselect {

/// A config's tables. Throws InputError with all problems so far if the text is not TOML.
toml::table parse_toml(std::string_view text, Problems& problems);
/// The same of a file. Throws InputError too if it can't be read.
toml::table read_toml(const std::string& path, Problems& problems);

Place place_of(const toml::source_region& region);

/// What a value is, for messages: "the text \"abc\"", "a table".
std::string describe_value(const toml::node& node);

/// Reads the keys of one section from a table of the file and from the command line.
///
/// Values that can't be taken become problems and leave the variable as it is. Checks are made only
/// while all keys read so far were right.
class SectionReader final : public Fields {
 public:
  struct Scope {
    const toml::table* table = nullptr;  ///< null: the file has no such section
    std::string prefix;                  ///< of keys in messages: "train.", "method.fedrep."
    std::vector<std::string> override_prefixes;  ///< of keys of the command line
  };
  SectionReader(Scope scope, Overrides& overrides, Problems& problems);

  void integer(std::string_view key, std::int64_t& value, const Interval& range,
               std::string_view meaning) override;
  /// A list of whole numbers, one at least.
  void integers(std::string_view key, std::vector<std::int64_t>& values, const Interval& range);
  void real(std::string_view key, double& value, const Interval& range,
            std::string_view meaning) override;
  void flag(std::string_view key, bool& value, std::string_view meaning) override;
  void text(std::string_view key, std::string& value, std::string_view meaning) override;
  void texts(std::string_view key, std::vector<std::string>& values,
             std::string_view meaning) override;
  void choice_index(std::string_view key, std::size_t& index,
                    std::span<const std::string_view> names, std::string_view meaning) override;
  void applies(bool holds, std::string_view key, std::string_view message) override;
  void check(bool holds, std::string_view key, std::string_view message) override;

  const std::string& prefix() const { return scope_.prefix; }
  /// The keys that were declared.
  const std::vector<std::string>& keys() const { return keys_; }
  /// Where each of them stands, in the same order; the section for one that isn't given.
  const std::vector<Place>& places() const { return places_; }
  bool found_problems() const { return found_problems_; }

 private:
  struct Source {
    const toml::node* node = nullptr;
    const Override* override = nullptr;
    Place place;
  };
  /// Where the key's value comes from: the command line, else the file, else (node = null) its
  /// default.
  Source look_up(std::string_view key);
  Source declare(std::string_view key);
  void refuse(const Place& place, std::string_view key, std::string_view text);
  void refuse_type(const Source& source, std::string_view key, std::string_view wanted);
  bool accept(const Source& source, std::string_view key, double value, const Interval& range);

  Scope scope_;
  Overrides& overrides_;
  Problems& problems_;
  std::vector<std::string> keys_;
  std::vector<Place> places_;
  std::string idle_key_;  ///< the next key, if it means nothing here
  std::string why_idle_;
  bool found_problems_ = false;
};

/// Makes every key of a table a problem that the reader didn't declare and that is none of
/// `others`, with the nearest one that is.
void refuse_unknown(const toml::table& table, const SectionReader& reader,
                    const std::vector<std::string_view>& others, Problems& problems);

}  // namespace fedselect
