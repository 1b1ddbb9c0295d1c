#include "io/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/error.hpp"
#include "files/regular_file.hpp"
#include "io/config_reader.hpp"
#include "io/config_sections.hpp"
#include "io/config_text.hpp"

namespace fedselect {

namespace {

/// Reads one config, section by section, and remembers which keys exist.
class ConfigReader {
 public:
  ConfigReader(const toml::table& file, Overrides& overrides, Problems& problems)
      : file_(file), overrides_(overrides), problems_(problems) {}

  Config read() {
    Config config;
    for (const Section& section : sections()) read_section(section, config);
    read_methods(config);
    for (const auto& [name, value] : file_) refuse_unknown_top(name, value);
    for (const Unknown& unknown : unknown_) refuse_unknown(unknown);
    for (const Override* override : overrides_.unused()) refuse_unknown(*override);
    return config;
  }

 private:
  /// A key of the file that its section doesn't have.
  struct Unknown {
    Place place;
    std::string prefix;
    std::string key;
  };

  void read_section(const Section& section, Config& config) {
    SectionReader::Scope scope{.table = &file_, .prefix = {}, .override_prefixes = {""}};
    if (!section.name.empty()) {
      scope.prefix = fmt::format("{}.", section.name);
      scope.override_prefixes = {scope.prefix};
      scope.table = section_table(section.name);
    }
    SectionReader reader(scope, overrides_, problems_);
    section.describe(config, reader);
    note_keys(reader);
    for (std::size_t i = 0; i < reader.keys().size(); ++i)
      config.places[scope.prefix + reader.keys()[i]] = problems_.describe(reader.places()[i]);
    if (scope.table != nullptr && scope.table != &file_) note_unknown(*scope.table, reader);
  }

  const toml::table* section_table(std::string_view name) {
    const auto found = file_.find(name);
    if (found == file_.end()) return nullptr;
    if (!found->second.is_table())
      problems_.add(place_of(found->first.source()),
                    fmt::format("{0}: is {1}, must be a section: write [{0}] and its keys below",
                                name, describe_value(found->second)));
    return found->second.as_table();
  }

  void read_methods(Config& config) {
    const auto found = file_.find(kMethodTable);
    if (found == file_.end()) {
      problems_.add({},
                    "has no [[method]] (nothing to run): add one, such as [[method]] and below "
                    "it name = \"fedselect\"");
      return;
    }
    const Place place = place_of(found->first.source());
    const toml::array* tables = found->second.as_array();
    if (tables == nullptr || tables->empty() || !tables->is_homogeneous<toml::table>()) {
      any_method_refused_ = true;
      problems_.add(place, fmt::format("{0}: must be a list of tables: write [[{0}]] above the "
                                       "keys of each method",
                                       kMethodTable));
      return;
    }
    for (const toml::node& table : *tables) read_method(*table.as_table(), config);
  }

  void read_method(const toml::table& table, Config& config) {
    MethodConfig method;
    if (!table.contains("name")) return refuse_nameless(table);
    SectionReader identity({.table = &table, .prefix = "method.", .override_prefixes = {}},
                           overrides_, problems_);
    describe_identity(method, identity);
    if (identity.found_problems()) {
      any_method_refused_ = true;
      return;
    }
    refuse_second_label(method.label, table);

    method.algorithm = find_method(method.name)->make();
    const std::string prefix = fmt::format("{}.{}.", kMethodTable, method.label);
    const std::string prefix_of_all = fmt::format("{}.", kMethodTable);
    SectionReader reader(
        {.table = &table, .prefix = prefix, .override_prefixes = {prefix, prefix_of_all}},
        overrides_, problems_);
    describe_passes(method, reader);
    const std::int64_t least = method.algorithm->least_passes();
    reader.check(passes_of(method, config.train) >= least, "passes",
                 fmt::format("{} needs {} passes or more to train all that it has to: set passes "
                             "here or in [train]",
                             method.name, least));
    method.algorithm->describe(reader);
    const std::string conflict = method.algorithm->conflict(config.train, config.server);
    reader.check(conflict.empty(), "name", conflict);
    note_keys(reader);
    for (const std::string& key : reader.keys()) keys_[prefix_of_all].push_back(key);
    keys_[prefix].insert(keys_[prefix].end(), identity.keys().begin(), identity.keys().end());
    note_unknown(table, reader);
    config.methods.push_back(std::move(method));
  }

  void refuse_nameless(const toml::table& table) {
    any_method_refused_ = true;
    problems_.add(place_of(table.source()),
                  fmt::format("method.name: is missing: add name = one of {}",
                              fmt::join(names_of_methods(), ", ")));
  }

  void refuse_second_label(const std::string& label, const toml::table& table) {
    const Place place = place_of(table.source());
    const auto [first, is_new] = line_of_label_.emplace(label, place.line);
    if (is_new) return;
    problems_.add(place, fmt::format("method.label: {} is the label of the method in line {} too: "
                                     "give one of them another, such as label = \"{}-2\"",
                                     quote(label), first->second, label));
  }

  void note_keys(const SectionReader& reader) { keys_[reader.prefix()] = reader.keys(); }

  void note_unknown(const toml::table& table, const SectionReader& reader) {
    const auto& known = keys_[reader.prefix()];
    for (const auto& [name, value] : table)
      if (std::find(known.begin(), known.end(), name.str()) == known.end())
        unknown_.push_back({place_of(name.source()), reader.prefix(), std::string(name.str())});
  }

  void refuse_unknown_top(const toml::key& name, const toml::node& value) {
    std::vector<std::string_view> names{kMethodTable};
    for (const Section& section : sections()) names.push_back(section.name);
    const auto& keys = keys_[""];
    if (std::find(names.begin(), names.end(), name.str()) != names.end() ||
        std::find(keys.begin(), keys.end(), name.str()) != keys.end())
      return;
    const Place place = place_of(name.source());
    if (!value.is_table() && !value.is_array_of_tables()) {
      unknown_.push_back({place, "", std::string(name.str())});
      return;
    }
    const auto nearest = nearest_name(name.str(), names);
    names.erase(std::find(names.begin(), names.end(), ""));
    problems_.add(place, nearest.empty() ? fmt::format("[{}]: unknown section (there are {})",
                                                       name.str(), fmt::join(names, ", "))
                                         : fmt::format("[{}]: unknown section; did you mean {}?",
                                                       name.str(), header_of(nearest)));
  }

  static std::string header_of(std::string_view section) {
    return section == kMethodTable ? fmt::format("[[{}]]", section) : fmt::format("[{}]", section);
  }

  void refuse_unknown(const Unknown& unknown) {
    problems_.add(unknown.place, fmt::format("{}{}: unknown key{}", unknown.prefix, unknown.key,
                                             advise(unknown.prefix, unknown.key)));
  }

  void refuse_unknown(const Override& override) {
    const std::size_t dot = override.key.rfind('.') + 1;  // 0 if there is none
    const std::string prefix = override.key.substr(0, dot);
    if (any_method_refused_ && prefix.starts_with(kMethodTable)) return;
    problems_.add(override.place(), fmt::format("{}: unknown key{}", override.key,
                                                advise(prefix, override.key.substr(dot))));
  }

  /// What somebody who wrote an unknown key may have meant: a key of this section, or else of
  /// another.
  std::string advise(const std::string& prefix, std::string_view key) const {
    const auto section = keys_.find(prefix);
    if (section != keys_.end())
      if (const auto nearest = nearest_name(key, {section->second.begin(), section->second.end()});
          !nearest.empty())
        return fmt::format("; did you mean {}{}?", prefix, nearest);
    std::vector<std::string_view> others;  // from the end: a method by its label before all methods
    for (auto other = keys_.rbegin(); other != keys_.rend(); ++other)
      if (std::find(other->second.begin(), other->second.end(), key) != other->second.end())
        others.push_back(other->first);
    if (!others.empty()) {
      const auto nearest = nearest_name(prefix, others);
      return fmt::format("; did you mean {}{}?", nearest.empty() ? others.front() : nearest, key);
    }
    if (section != keys_.end())
      return fmt::format(" (there are {})", fmt::join(section->second, ", "));
    return "";
  }

  const toml::table& file_;
  Overrides& overrides_;
  Problems& problems_;
  std::map<std::string, std::vector<std::string>> keys_;  ///< of each section, by its prefix
  std::map<std::string, int> line_of_label_;
  std::vector<Unknown> unknown_;
  bool any_method_refused_ = false;
};

}  // namespace

std::string Config::locate(const KeyError& error) const {
  const auto place = places.find(error.key());
  return place == places.end() ? error.what() : fmt::format("{}: {}", place->second, error.what());
}

std::string read_config_text(const std::string& path) {
  const std::string what = irregularity(path);
  std::ifstream file;
  if (what.empty()) file.open(path, std::ios::binary);
  if (!file.is_open())
    throw InputError(
        fmt::format("{}: can't be read ({}): name a config file, such as configs/quickstart.toml",
                    path, what.empty() ? "missing, or not permitted" : what));
  return {std::istreambuf_iterator<char>(file), {}};
}

Config read_config(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_config(read_config_text(path), path, overrides);
}

Config parse_config(std::string_view text, const std::string& origin,
                    const std::vector<std::string>& overrides) {
  Problems problems(origin);
  Overrides given(overrides, problems);
  const toml::table file = parse_toml(text, problems);
  Config config = ConfigReader(file, given, problems).read();
  problems.throw_if_any();
  return config;
}

}  // namespace fedselect
