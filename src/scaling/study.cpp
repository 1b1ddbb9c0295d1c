#include "scaling/study.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/error.hpp"
#include "io/config.hpp"
#include "io/config_reader.hpp"
#include "io/config_text.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

void describe(ScalingStudy& study, SectionReader& reader) {
  reader.text("name", study.name, "");
  reader.check(is_folder_name(study.name), "name", kFolderNameRule);
  reader.text("config", study.config, "");
  reader.check(!study.config.empty(), "config",
               "is missing (the experiment that is measured): add config = \"PATH\", relative to "
               "this file");
  reader.text("method", study.method, "");
  reader.choice("over", study.over, kScalingOverNames, "");
  const bool over_ranks = study.over == ScalingOver::ranks;
  reader.applies(over_ranks, "kind", "only over = \"ranks\" is strong or weak: remove it");
  reader.choice("kind", study.kind, kScalingKindNames, "");
  const bool is_weak = over_ranks && study.kind == ScalingKind::weak;
  reader.applies(is_weak, "clients_per_rank",
                 "only weak scaling has clients that grow with the ranks: remove it, or set "
                 "kind = \"weak\"");
  reader.integer("clients_per_rank", study.clients_per_rank, kCount, "");
  reader.check(!is_weak || study.clients_per_rank > 0, "clients_per_rank",
               "is missing: weak scaling needs the clients of a rank");
  const bool over_parameters = study.over == ScalingOver::parameters;
  reader.applies(over_parameters, "key",
                 "only over = \"parameters\" sets a key of the experiment: remove it");
  reader.text("key", study.key, "");
  reader.check(!over_parameters || !study.key.empty(), "key",
               "is missing: name the key that sets the network's size, such as \"model.hidden\"");
  reader.integers("values", study.values, kCount);
  reader.check(!study.values.empty(), "values", "is missing: the points, such as [1, 2, 4]");
  const auto& values = study.values;
  reader.check(
      std::adjacent_find(values.begin(), values.end(), std::greater_equal<>()) == values.end(),
      "values", "must ascend, each value once");
  reader.integer("rounds", study.rounds, kCount, "");
  reader.integer("warmup", study.warmup, {.low = 0, .high = kCount.high}, "");
  reader.integer("repeats", study.repeats, kCount, "");
  reader.texts("set", study.set, "");
}

ScalingPoint make_point(const ScalingStudy& study, std::int64_t value, int job_ranks) {
  ScalingPoint point{.value = value, .ranks = job_ranks, .overrides = study.set};
  const auto set = [&](std::string_view key, std::int64_t to) {
    point.overrides.push_back(fmt::format("{}={}", key, to));
  };
  set("rounds", study.warmup + study.rounds);
  switch (study.over) {
    case ScalingOver::ranks:
      if (value > job_ranks)
        throw InputError(
            fmt::format("values: the point of {} ranks needs more than the {} of this job: start "
                        "the study on {} ranks, or measure it point by point (jobs/submit scaling)",
                        value, job_ranks, study.values.back()));
      point.ranks = static_cast<int>(value);
      if (study.kind == ScalingKind::weak) set("data.clients", study.clients_per_rank * value);
      break;
    case ScalingOver::clients: set("data.clients", value); break;
    case ScalingOver::parameters: set(study.key, value); break;
  }
  return point;
}

}  // namespace

ScalingStudy parse_study(std::string_view text, const std::string& origin) {
  Problems problems(origin);
  Overrides none({}, problems);
  const toml::table file = parse_toml(text, problems);
  ScalingStudy study;
  study.text = text;
  SectionReader reader({.table = &file, .prefix = {}, .override_prefixes = {}}, none, problems);
  describe(study, reader);
  refuse_unknown(file, reader, {}, problems);
  problems.throw_if_any();
  study.config = (fs::path(origin).parent_path() / study.config).lexically_normal().string();
  return study;
}

ScalingStudy read_study(const std::string& path) {
  return parse_study(read_config_text(path), path);
}

std::vector<ScalingPoint> points_of(const ScalingStudy& study, int job_ranks) {
  std::vector<ScalingPoint> points;
  for (const std::int64_t value : study.values)
    points.push_back(make_point(study, value, job_ranks));
  return points;
}

ScalingPoint point_of(const ScalingStudy& study, std::int64_t value, int job_ranks) {
  if (std::find(study.values.begin(), study.values.end(), value) == study.values.end())
    throw InputError(fmt::format("--point {}: the study {} has no such value (there are {})", value,
                                 study.name, fmt::join(study.values, ", ")));
  return make_point(study, value, job_ranks);
}

}  // namespace fedselect
