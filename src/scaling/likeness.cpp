#include "scaling/likeness.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "io/config_changes.hpp"
#include "io/manifest.hpp"

namespace fedselect {

namespace {

/// The words of a command line that change what is measured: not those that say what of a study is
/// measured, and where it goes.
std::vector<std::string> options_of(const std::vector<std::string>& command) {
  constexpr std::array<std::string_view, 4> kAlike{"--out", "--point", "--silence-limit",
                                                   "--stall-limit"};
  std::vector<std::string> options;
  for (std::size_t i = 0; i < command.size(); ++i) {
    const std::string_view word = command[i];
    if (!word.starts_with("--") || word == "--continue") continue;
    const std::string_view name = word.substr(0, word.find('='));
    if (std::find(kAlike.begin(), kAlike.end(), name) != kAlike.end()) continue;
    const bool has_value = name == word && i + 1 < command.size();
    options.push_back(has_value ? fmt::format("{}={}", word, command[i + 1]) : std::string(word));
  }
  std::sort(options.begin(), options.end());
  return options;
}

std::string find_difference(const std::string& manifest, const std::string& other) {
  const Provenance a = read_provenance(manifest);
  const Provenance b = read_provenance(other);
  if (a.program != b.program) return "by another build of the program";
  if (options_of(a.command) != options_of(b.command)) return "with other options";
  return "";
}

}  // namespace

std::string find_difference(const MeasuredPoint& before, const ScalingPoint& point,
                            const std::string& config, const std::string& manifest) {
  if (before.value != point.value) return "at other points";
  if (before.ranks != point.ranks) return "on another number of ranks";
  for (const ConfigChange& change : compare_configs(before.config, config)) {
    // The number of clients that come with the data is written where the data have been read.
    const bool is_found = change.key == "data.clients" && change.after == "0";
    if (!is_found) return fmt::format("with another {}", change.key);
  }
  return find_difference(before.manifest, manifest);
}

std::string find_difference(const ScalingStudy& study, const MeasuredPoint& first,
                            const MeasuredPoint& point) {
  const bool over_ranks = study.over == ScalingOver::ranks;
  if (!over_ranks && point.ranks != first.ranks) return "on another number of ranks";
  const bool varies_config = !over_ranks || study.kind == ScalingKind::weak;
  const std::string_view varied =
      study.over == ScalingOver::parameters ? std::string_view(study.key) : "data.clients";
  for (const ConfigChange& change : compare_configs(first.config, point.config))
    if (!varies_config || change.key != varied) return fmt::format("with another {}", change.key);
  if (read_provenance(first.manifest).device != read_provenance(point.manifest).device)
    return "on another device";
  return find_difference(first.manifest, point.manifest);
}

}  // namespace fedselect
