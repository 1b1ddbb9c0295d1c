#include "io/config_changes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>
#include <string>

#include "base/error.hpp"
#include "io/config_text.hpp"

namespace fedselect {

namespace {

/// Keys with their values as TOML writes them.
using Values = std::map<std::string, std::string>;

std::string text_of(const toml::node& node) {
  if (const auto* real = node.as_floating_point()) return write_real(real->get());
  std::ostringstream out;
  out << toml::node_view<const toml::node>(node);
  return out.str();
}

void flatten(const toml::table& table, const std::string& prefix, Values& values) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const auto* inner = node.as_table())
      flatten(*inner, key + ".", values);
    else if (const auto* methods = node.as_array(); methods && methods->is_array_of_tables())
      for (const auto& method : *methods) flatten(*method.as_table(), key + ".", values);
    else
      values[key] = text_of(node);
  }
}

Values values_of(std::string_view config) {
  Values values;
  try {
    flatten(toml::parse(config), "", values);
  } catch (const toml::parse_error& error) {
    throw InputError(
        fmt::format("the config of the run to resume can't be read ({}): start the "
                    "run again elsewhere",
                    error.description()));
  }
  return values;
}

std::string value_or_empty(const Values& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "" : found->second;
}

/// Sections and keys that leave the numbers of the rounds to come as they are. Files may lie
/// elsewhere: that they hold the same is for the fingerprint to say.
constexpr std::array<std::string_view, 9> kSafe{
    "checkpoint.",         "output.",       "evaluate.",
    "train.on_divergence", "data.path",     "data.test_images",
    "data.partition_file", "model.initial", "faults.unavailable"};

bool is_safe(const std::string& key) {
  return std::any_of(kSafe.begin(), kSafe.end(),
                     [&](std::string_view safe) { return key.starts_with(safe); });
}

/// Why a run can't go on with such a change; empty: it can, if the user says so.
std::string why_refused(const ConfigChange& change, const Values& after, int rounds) {
  if (is_safe(change.key)) return {};
  if (change.key != "rounds") return "it would change what the rounds to come compute";
  if (value_or_empty(after, "train.schedule").find("cosine") != std::string::npos)
    return "the cosine schedule of the rounds that are done depends on it";
  if (std::stoll(change.after) < rounds)
    return fmt::format("it can't be less than the {} that have begun", rounds);
  return {};
}

}  // namespace

std::vector<ConfigChange> compare_configs(std::string_view before, std::string_view after) {
  const Values old = values_of(before);
  const Values now = values_of(after);
  Values all = old;
  all.insert(now.begin(), now.end());
  std::vector<ConfigChange> changes;
  for (const auto& [key, value] : all) {
    ConfigChange change{key, value_or_empty(old, key), value_or_empty(now, key)};
    if (change.before != change.after) changes.push_back(std::move(change));
  }
  return changes;
}

void require_resumable(std::string_view before, std::string_view after, int rounds,
                       const std::vector<std::string>& allowed, const std::string& origin) {
  const Values old = values_of(before);
  const Values now = values_of(after);
  std::vector<std::string> problems;
  for (const std::string& key : allowed)
    if (!old.contains(key) && !now.contains(key))
      problems.push_back(fmt::format("--allow-change {}: no such key", key));
  for (const ConfigChange& change : compare_configs(before, after)) {
    const auto differs = fmt::format("{} was {}, is {}", change.key,
                                     change.before.empty() ? "absent" : change.before,
                                     change.after.empty() ? "absent" : change.after);
    if (const auto why = why_refused(change, now, rounds); !why.empty())
      problems.push_back(
          fmt::format("{}: can't change within a run ({}): start a new one", differs, why));
    else if (std::find(allowed.begin(), allowed.end(), change.key) == allowed.end())
      problems.push_back(
          fmt::format("{}: say --allow-change {} if that is meant", differs, change.key));
  }
  if (problems.empty()) return;
  throw InputError(
      fmt::format("{}: can't go on with this config:\n  {}", origin, fmt::join(problems, "\n  ")));
}

}  // namespace fedselect
