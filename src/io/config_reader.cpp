#include "io/config_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "io/config.hpp"
#include "io/config_text.hpp"

namespace fedselect {

toml::table parse_toml(std::string_view text, Problems& problems) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    problems.add(place_of(error.source()), fmt::format("not TOML: {}", error.description()));
    problems.throw_if_any();
    throw;
  }
}

toml::table read_toml(const std::string& path, Problems& problems) {
  return parse_toml(read_config_text(path), problems);
}

Place place_of(const toml::source_region& region) {
  return {.line = static_cast<int>(region.begin.line),
          .column = static_cast<int>(region.begin.column),
          .override = {}};
}

std::string describe_value(const toml::node& node) {
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  if (const auto text = node.value_exact<std::string_view>())
    return fmt::format("the text {}", quote(*text));
  std::ostringstream out;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) out << value;
  });
  return out.str();
}

SectionReader::SectionReader(Scope scope, Overrides& overrides, Problems& problems)
    : scope_(std::move(scope)), overrides_(overrides), problems_(problems) {}

SectionReader::Source SectionReader::look_up(std::string_view key) {
  std::vector<std::string> names;
  for (const std::string& prefix : scope_.override_prefixes)
    names.push_back(prefix + std::string(key));
  if (const Override* override = overrides_.find(names))
    return {&override->value(), override, override->place()};
  if (scope_.table == nullptr) return {};
  const auto found = scope_.table->find(key);
  if (found == scope_.table->end()) return {nullptr, nullptr, place_of(scope_.table->source())};
  return {&found->second, nullptr, place_of(found->first.source())};
}

SectionReader::Source SectionReader::declare(std::string_view key) {
  const Source source = look_up(key);
  keys_.emplace_back(key);
  places_.push_back(source.place);
  if (key == idle_key_ && source.node != nullptr) refuse(source.place, key, why_idle_);
  return source;
}

void SectionReader::refuse(const Place& place, std::string_view key, std::string_view text) {
  found_problems_ = true;
  problems_.add(place, fmt::format("{}{}: {}", scope_.prefix, key, text));
}

void SectionReader::refuse_type(const Source& source, std::string_view key,
                                std::string_view wanted) {
  refuse(source.place, key, fmt::format("is {}, must be {}", describe_value(*source.node), wanted));
}

bool SectionReader::accept(const Source& source, std::string_view key, double value,
                           const Interval& range) {
  if (std::isfinite(value) && range.contains(value)) return true;
  refuse(source.place, key,
         fmt::format("is {}, must be {}", describe_value(*source.node), describe_interval(range)));
  return false;
}

void SectionReader::integer(std::string_view key, std::int64_t& value, const Interval& range,
                            std::string_view /*meaning*/) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  const auto read = source.node->value_exact<std::int64_t>();
  if (!read) return refuse_type(source, key, "a whole number");
  if (accept(source, key, static_cast<double>(*read), range)) value = *read;
}

void SectionReader::integers(std::string_view key, std::vector<std::int64_t>& values,
                             const Interval& range) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  const toml::array* list = source.node->as_array();
  if (list == nullptr || list->empty() || !list->is_homogeneous<std::int64_t>())
    return refuse_type(source, key, "a list of whole numbers, such as [1, 2, 4]");
  values.clear();
  for (const toml::node& number : *list) {
    values.push_back(*number.value<std::int64_t>());
    if (!range.contains(static_cast<double>(values.back())))
      return refuse(
          source.place, key,
          fmt::format("has {}, each must be {}", values.back(), describe_interval(range)));
  }
}

void SectionReader::real(std::string_view key, double& value, const Interval& range,
                         std::string_view /*meaning*/) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  if (!source.node->is_number()) return refuse_type(source, key, "a number");
  const double read = *source.node->value<double>();
  if (accept(source, key, read, range)) value = read;
}

void SectionReader::flag(std::string_view key, bool& value, std::string_view /*meaning*/) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  const auto read = source.node->value_exact<bool>();
  if (!read) return refuse_type(source, key, "true or false");
  value = *read;
}

void SectionReader::text(std::string_view key, std::string& value, std::string_view /*meaning*/) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  const auto read = source.node->value_exact<std::string>();
  if (read)
    value = *read;
  else if (source.override != nullptr)
    value = source.override->raw;  // name=5 means the text
  else
    refuse_type(source, key, "a text in quotes");
}

void SectionReader::texts(std::string_view key, std::vector<std::string>& values,
                          std::string_view /*meaning*/) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  const toml::array* list = source.node->as_array();
  if (list == nullptr || !(list->empty() || list->is_homogeneous<std::string>()))
    return refuse_type(source, key, "a list of texts, such as [\"a\", \"b\"]");
  values.clear();
  for (const toml::node& text : *list) values.push_back(*text.value<std::string>());
}

void SectionReader::choice_index(std::string_view key, std::size_t& index,
                                 std::span<const std::string_view> names,
                                 std::string_view /*meaning*/) {
  const Source source = declare(key);
  if (source.node == nullptr) return;
  const auto read = source.node->value_exact<std::string_view>();
  if (!read) return refuse_type(source, key, fmt::format("one of {}", fmt::join(names, ", ")));
  const auto found = std::find(names.begin(), names.end(), *read);
  if (found != names.end()) {
    index = static_cast<std::size_t>(found - names.begin());
    return;
  }
  const auto nearest = nearest_name(*read, {names.begin(), names.end()});
  const std::string hint = nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
  refuse(source.place, key,
         fmt::format("unknown value {}{} (one of {})", quote(*read), hint, fmt::join(names, ", ")));
}

void SectionReader::applies(bool holds, std::string_view key, std::string_view message) {
  idle_key_ = holds ? "" : key;
  why_idle_ = message;
}

void SectionReader::check(bool holds, std::string_view key, std::string_view message) {
  if (!holds && !found_problems_) refuse(look_up(key).place, key, message);
}

void refuse_unknown(const toml::table& table, const SectionReader& reader,
                    const std::vector<std::string_view>& others, Problems& problems) {
  std::vector<std::string_view> known(reader.keys().begin(), reader.keys().end());
  known.insert(known.end(), others.begin(), others.end());
  for (const auto& [name, value] : table) {
    if (std::find(known.begin(), known.end(), name.str()) != known.end()) continue;
    const auto nearest = nearest_name(name.str(), known);
    problems.add(place_of(name.source()),
                 nearest.empty() ? fmt::format("{}{}: unknown key (there are {})", reader.prefix(),
                                               name.str(), fmt::join(known, ", "))
                                 : fmt::format("{0}{1}: unknown key; did you mean {0}{2}?",
                                               reader.prefix(), name.str(), nearest));
  }
}

}  // namespace fedselect
