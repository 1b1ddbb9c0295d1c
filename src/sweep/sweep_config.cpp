#include "sweep/sweep_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "io/config_reader.hpp"
#include "io/config_text.hpp"
#include "sweep/points.hpp"

namespace fedselect::sweep {

namespace {

constexpr std::array<std::string_view, 4> kSearchNames{"grid", "random", "sobol",
                                                       "latin-hypercube"};
constexpr std::array<std::string_view, 2> kMetricNames{"accuracy", "worst-accuracy"};
constexpr const char* kParameterTable = "parameter";
constexpr Interval kAtLeastTwo{.low = 2, .high = 2147483647};
constexpr Interval kPoints{.low = 1, .high = static_cast<double>(kMostTrials)};
constexpr Interval kPointsOfRange{.low = 2, .high = static_cast<double>(kMostTrials)};

/// A single value as TOML writes it; none: it is a list, a table or a date.
std::optional<std::string> write_value(const toml::node& node) {
  if (const auto text = node.value_exact<std::string_view>()) return quote(*text);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto whole = node.value_exact<std::int64_t>()) return fmt::format("{}", *whole);
  if (const auto real = node.value_exact<double>()) return write_real(*real);
  return std::nullopt;
}

/// Whether a double tells it from its neighbours, too.
bool is_whole(double x) {
  constexpr double kMost = 1e15;
  return x == std::floor(x) && std::abs(x) <= kMost;
}

class SweepReader {
 public:
  SweepReader(const toml::table& file, Problems& problems) : file_(file), problems_(problems) {}

  SweepConfig read() {
    SweepConfig sweep;
    read_top(sweep);
    read_search(sweep);
    read_halving(sweep);
    read_parameters(sweep);
    return sweep;
  }

 private:
  void read_top(SweepConfig& sweep) {
    auto reader = reader_of(&file_, "");
    reader.text("name", sweep.name, "");
    reader.check(is_folder_name(sweep.name), "name", kFolderNameRule);
    reader.text("experiment", sweep.experiment, "");
    reader.check(!sweep.experiment.empty(), "experiment",
                 "is missing: name the config whose keys are varied, from this file's folder");
    reader.texts("methods", sweep.methods, "");
    reader.choice("metric", sweep.metric, kMetricNames, "");
    for (const std::string& seed : read_list(file_, "seeds", "")) {
      std::int64_t& last = sweep.seeds.emplace_back(-1);
      if (seed.find_first_not_of("0123456789") == std::string::npos && seed.size() < 16)
        last = std::stoll(seed);
      if (last < 0 || std::count(sweep.seeds.begin(), sweep.seeds.end(), last) > 1)
        problems_.add(place_of_key(file_, "seeds"),
                      fmt::format("seeds: {}: must be whole numbers from 0, each once", seed));
    }
    refuse_unknown(file_, reader, {"seeds", "search", "halving", kParameterTable}, problems_);
  }

  void read_search(SweepConfig& sweep) {
    const toml::table* table = section("search");
    auto reader = reader_of(table, "search.");
    reader.choice("kind", sweep.search, kSearchNames, "");
    reader.check(sweep.search == Search::grid || file_.contains(kParameterTable), "kind",
                 "there is no [[parameter]] to draw: add one, or leave [search] out");
    reader.applies(sweep.search != Search::grid, "points",
                   "a grid has as many points as its parameters' values make: leave it out");
    reader.integer("points", sweep.points, kPoints, "");
    reader.check(sweep.search == Search::grid || sweep.points > 0, "points",
                 "is missing: say how many points to try");
    reader.applies(sweep.search != Search::grid, "seed", "a grid draws nothing: leave it out");
    reader.integer("seed", sweep.seed, kNonNegative, "");
    if (table != nullptr) refuse_unknown(*table, reader, {}, problems_);
  }

  void read_halving(SweepConfig& sweep) {
    const toml::table* table = section("halving");
    if (table == nullptr) return;
    auto reader = reader_of(table, "halving.");
    reader.integer("first_rounds", sweep.halving.first, kCount, "");
    reader.check(sweep.halving.first > 0, "first_rounds",
                 "is missing: say after how many rounds points are compared first");
    reader.integer("factor", sweep.halving.factor, kAtLeastTwo, "");
    reader.flag("wait", sweep.halving.waits, "");
    refuse_unknown(*table, reader, {}, problems_);
  }

  void read_parameters(SweepConfig& sweep) {
    const toml::node* node = file_.get(kParameterTable);
    if (node == nullptr) return;
    const toml::array* tables = node->as_array();
    if (tables == nullptr || !tables->is_homogeneous<toml::table>()) {
      problems_.add(place_of_key(file_, kParameterTable),
                    "parameter: must be a list of tables: write [[parameter]] above the keys of "
                    "each parameter");
      return;
    }
    for (const toml::node& table : *tables)
      sweep.parameters.push_back(read_parameter(*table.as_table(), sweep));
  }

  Parameter read_parameter(const toml::table& table, const SweepConfig& sweep) {
    Parameter parameter;
    auto reader = reader_of(&table, "parameter.");
    reader.text("key", parameter.key, "");
    check_key(parameter.key, sweep, reader);
    parameter.values = read_list(table, "values", "parameter.");
    const bool is_range = !table.contains("values");
    const bool is_grid = sweep.search == Search::grid;
    constexpr const char* kWholeEnd = "must be a whole number, of 15 digits at most, as the values";
    constexpr const char* kNoRange = "means nothing beside values: leave one of them out";
    reader.applies(is_range, "low", kNoRange);
    reader.real("low", parameter.low, {}, "");
    reader.applies(is_range, "high", kNoRange);
    reader.real("high", parameter.high, {}, "");
    reader.check(!is_range || parameter.low < parameter.high, "high",
                 "must be above low: set both, or a list of values");
    std::size_t scale = 0;
    reader.applies(is_range, "scale", kNoRange);
    reader.choice_index("scale", scale, std::array<std::string_view, 2>{"linear", "log"}, "");
    parameter.log = scale == 1;
    reader.check(!parameter.log || parameter.low > 0, "low", "must be above 0 on a log scale");
    reader.applies(is_range, "whole", kNoRange);
    reader.flag("whole", parameter.whole, "");
    reader.check(!parameter.whole || is_whole(parameter.low), "low", kWholeEnd);
    reader.check(!parameter.whole || is_whole(parameter.high), "high", kWholeEnd);
    reader.applies(is_range && is_grid, "points",
                   "is for ranges in a grid only; elsewhere [search] says how many: leave it out");
    reader.integer("points", parameter.points, kPointsOfRange, "");
    reader.check(!is_range || !is_grid || parameter.points > 1, "points",
                 "is missing: say how many values of the range the grid has");
    if (const toml::node* when = table.get("when")) read_condition(*when, sweep, parameter);
    refuse_unknown(table, reader, {"values", "when"}, problems_);
    return parameter;
  }

  void check_key(const std::string& key, const SweepConfig& sweep, SectionReader& reader) {
    reader.check(!key.empty(), "key", "is missing: say which key of the experiment is varied");
    reader.check(key != "seed" && key != "name", "key",
                 "the sweep sets it itself: use seeds, and name at the top");
    reader.check(key != "rounds" || sweep.halving.first == 0, "key",
                 "can't be rounds under [halving], which sets the rounds of each rung");
    reader.check(std::none_of(sweep.parameters.begin(), sweep.parameters.end(),
                              [&](const Parameter& other) { return other.key == key; }),
                 "key", fmt::format("{} is varied by an earlier [[parameter]] too", key));
  }

  /// when = { key = "train.optimizer", is = ["adam"] }
  void read_condition(const toml::node& node, const SweepConfig& sweep, Parameter& parameter) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      problems_.add(place_of(node.source()),
                    "parameter.when: must say when = { key = \"KEY\", is = [VALUE, ...] }");
      return;
    }
    auto reader = reader_of(table, "parameter.when.");
    std::string key;
    reader.text("key", key, "");
    const auto found = std::find_if(sweep.parameters.begin(), sweep.parameters.end(),
                                    [&](const Parameter& other) { return other.key == key; });
    reader.check(found != sweep.parameters.end(), "key",
                 fmt::format("{} is no parameter above this one", quote(key)));
    parameter.condition = static_cast<int>(found - sweep.parameters.begin());
    parameter.condition_values = read_list(*table, "is", "parameter.when.");
    reader.check(!parameter.condition_values.empty(), "is",
                 "is missing: list the values with which this parameter has a part");
    if (found != sweep.parameters.end())
      for (const std::string& value : parameter.condition_values)
        if (const auto why = why_never(*found, sweep.search, value); !why.empty())
          reader.check(false, "is", why);
    refuse_unknown(*table, reader, {"is"}, problems_);
  }

  /// Why no point, or hardly any, has this value of a parameter; empty: some have.
  static std::string why_never(const Parameter& parameter, Search search,
                               const std::string& value) {
    const std::string& key = parameter.key;
    if (!parameter.values.empty() || search == Search::grid) {
      const auto values = grid_values(parameter);
      const bool is_known = std::find(values.begin(), values.end(), value) != values.end();
      if (is_known || values.empty()) return "";  // empty: wrong itself
      return fmt::format("{} is never {}: its values are {}, written so", key, value,
                         describe_first(values));
    }
    if (!parameter.whole)
      return fmt::format(
          "a draw of {0} is hardly ever exactly {1}: give {0} values, or whole = true", key, value);
    const bool is_integer = value.find_first_not_of("-0123456789") == std::string::npos;
    const double number = is_integer ? std::stod(value) : 0;
    if (is_integer && number >= parameter.low && number <= parameter.high) return "";
    return fmt::format("{} is never {}: it is a whole number from {} to {}", key, value,
                       parameter.low, parameter.high);
  }

  /// "1, 2, 3, ..."
  static std::string describe_first(const std::vector<std::string>& values) {
    constexpr std::size_t kFew = 6;
    const auto first = std::span(values).first(std::min(values.size(), kFew));
    return fmt::format("{}{}", fmt::join(first, ", "), values.size() > kFew ? ", ..." : "");
  }

  /// The values of a list, each as TOML writes it; empty if there is no such key.
  std::vector<std::string> read_list(const toml::table& table, std::string_view key,
                                     std::string_view prefix) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return {};
    std::vector<std::string> values;
    const toml::array* list = node->as_array();
    bool is_right = list != nullptr && !list->empty();
    for (std::size_t i = 0; is_right && i < list->size(); ++i) {
      const auto value = write_value(*list->get(i));
      is_right = value.has_value();
      if (value) values.push_back(*value);
    }
    if (!is_right)
      problems_.add(place_of_key(table, key),
                    fmt::format("{}{}: is {}, must be a list of single values, such as [0.1, 0.2]",
                                prefix, key, describe_value(*node)));
    return values;
  }

  const toml::table* section(std::string_view name) {
    const toml::node* node = file_.get(name);
    if (node == nullptr) return nullptr;
    if (!node->is_table())
      problems_.add(place_of_key(file_, name),
                    fmt::format("{0}: must be a section: write [{0}] and its keys below", name));
    return node->as_table();
  }

  SectionReader reader_of(const toml::table* table, std::string prefix) {
    return {
        {.table = table, .prefix = std::move(prefix), .override_prefixes = {}}, none_, problems_};
  }

  static Place place_of_key(const toml::table& table, std::string_view key) {
    return place_of(table.find(key)->first.source());
  }

  const toml::table& file_;
  Problems& problems_;
  Overrides none_{{}, problems_};
};

}  // namespace

SweepConfig read_sweep(const std::string& path) {
  Problems problems(path);
  const toml::table file = read_toml(path, problems);
  SweepConfig sweep = SweepReader(file, problems).read();
  problems.throw_if_any();
  sweep.experiment = (std::filesystem::path(path).parent_path() / sweep.experiment).string();
  return sweep;
}

}  // namespace fedselect::sweep
