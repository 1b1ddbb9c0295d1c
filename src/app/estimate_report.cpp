#include "app/estimate_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/text.hpp"

namespace fedselect {

namespace {

using Row = std::vector<std::string>;

std::string bytes(double value) { return describe_bytes(std::llround(value)); }
std::string bytes(std::size_t value) { return describe_bytes(static_cast<std::int64_t>(value)); }

std::string describe_flops(double flops) {
  constexpr double kTera = 1e12;
  return fmt::format("{:.4g}", flops / kTera);
}

/// "0:01:09"
std::string describe_time(double seconds) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 3600;
  const std::int64_t all = std::llround(seconds);
  return fmt::format("{}:{:02}:{:02}", all / kHour, all % kHour / kMinute, all % kMinute);
}

const char* mark_of(Sureness sureness) {
  switch (sureness) {
    case Sureness::exact: return "";
    case Sureness::at_least: return " *";
    case Sureness::if_all_do: return " **";
  }
  return "";
}

/// Means over clients and rounds.
struct Mean {
  double up = 0;
  double down = 0;
  double clients = 0;
};
Mean mean_of(const MethodForecast& method) {
  Mean mean;
  for (const ForecastRound& round : method.rounds) {
    mean.clients += static_cast<double>(round.cohort);
    mean.up += static_cast<double>(round.bytes_up.sum);
    mean.down += static_cast<double>(round.bytes_down.sum);
  }
  mean.up /= std::max(mean.clients, 1.0);
  mean.down /= std::max(mean.clients, 1.0);
  return mean;
}

Row row_of(const MethodForecast& method, const ExperimentForecast& forecast) {
  const Mean mean = mean_of(method);
  return {method.label + mark_of(method.sureness),
          fmt::format("{:.4f}", method.rounds.back().personal_share),
          bytes(mean.up),
          bytes(mean.down),
          fmt::format("{:.0f} %",
                      100 * (mean.up + mean.down) / static_cast<double>(2 * forecast.model_bytes)),
          describe_bytes(method.bytes()),
          describe_flops(method.flops()),
          bytes(method.rank_bytes),
          bytes(method.state_bytes),
          describe_bytes(method.files.result),
          fmt::format("{:.1f}", method.seconds())};
}

std::string table_of_methods(const ExperimentForecast& forecast) {
  std::vector<Row> rows{{"method", "personal share", "up, a client's round", "down", "of dense",
                         "bytes up + down", "TFLOP", "memory of a rank", "its clients", "result.h5",
                         "seconds"}};
  for (const MethodForecast& method : forecast.methods) rows.push_back(row_of(method, forecast));
  return align_table(rows);
}

std::string table_of_federation(const ExperimentForecast& forecast) {
  const DeviceProfile& profile = *forecast.profile;
  std::vector<Row> rows{{"method"}};
  for (const DeviceClass& device : profile.classes) rows[0].push_back(device.name);
  rows[0].insert(rows[0].end(), {"hours, all rounds", "a client is busy"});
  for (const MethodForecast& method : forecast.methods) {
    const FederationCost cost = cost_of_federation(profile, method.loads());
    Row& row = rows.emplace_back(Row{method.label});
    for (const double seconds : cost.seconds) row.push_back(fmt::format("{:.3g}", seconds));
    row.push_back(fmt::format("{:.3g}", cost.hours));
    row.push_back(fmt::format("{:.0f} %", 100 * cost.busy));
  }
  return fmt::format("\nreal clients ({}), seconds of a round\n{}", profile.name,
                     align_table(rows));
}

bool has(const ExperimentForecast& forecast, Sureness sureness) {
  return std::any_of(forecast.methods.begin(), forecast.methods.end(),
                     [&](const MethodForecast& method) { return method.sureness == sureness; });
}

}  // namespace

std::string describe(const ExperimentForecast& forecast) {
  std::string text;
  const auto line = [&](std::string_view what, const std::string& said) {
    text += fmt::format("{:<11}{}\n", what, said);
  };
  const Ranks& ranks = forecast.ranks;
  line("experiment", fmt::format("{}, {} rounds, {} clients", forecast.name,
                                 forecast.methods.front().rounds.size(), forecast.clients));
  line("ranks",
       fmt::format("{}, {} on a node at most, {}", ranks.count, ranks.on_node, forecast.device));
  line("time", fmt::format("{}, of it {:.1f} s before the first round",
                           describe_time(forecast.seconds()), forecast.start_seconds));
  line("memory", fmt::format("{} a rank, {} a node, of it {} shared by its ranks",
                             bytes(forecast.rank_bytes()), bytes(forecast.node_bytes()),
                             bytes(forecast.shared_bytes)));
  if (const std::size_t spilled = forecast.spill_bytes(); spilled > 0)
    line("", fmt::format("and at most {} of a node's disk, for clients' states", bytes(spilled)));
  std::size_t device = 0;
  for (const MethodForecast& method : forecast.methods)
    device = std::max(device, method.device_bytes);
  if (device > 0) line("", fmt::format("{} of a GPU's memory a rank", bytes(device)));
  line("files", fmt::format("{} at most while it runs", describe_bytes(forecast.file_bytes())));
  text += '\n' + table_of_methods(forecast);
  if (has(forecast, Sureness::at_least))
    text += "* masks grow by less where parameters never change; then more is sent\n";
  if (has(forecast, Sureness::if_all_do))
    text += "** if every client is accurate enough to prune as soon as it may; else more is sent\n";
  if (ranks.count > 1 && ranks.measured == 1)
    text += "what ranks send each other was not measured: start the estimate on several ranks\n";
  if (forecast.profile) text += table_of_federation(forecast);
  return text;
}

std::vector<std::string> warnings_of(const ExperimentForecast& forecast) {
  std::vector<std::string> warnings;
  const std::size_t node = forecast.node_bytes();
  if (forecast.node.total > 0 && node > forecast.node.total)
    warnings.push_back(
        fmt::format("memory: {} a node, but of this one the job has {}: fewer ranks a node, less "
                    "--client-memory, or larger nodes",
                    bytes(node), bytes(forecast.node.total)));
  else if (forecast.node.available > 0 && node > forecast.node.available)
    warnings.push_back(fmt::format("memory: {} a node, but only {} of this one's {} are free now",
                                   bytes(node), bytes(forecast.node.available),
                                   bytes(forecast.node.total)));
  if (forecast.spill_bytes() > forecast.scratch_free)
    warnings.push_back(fmt::format(
        "scratch: up to {} of clients' states, but {} are free: name another folder with "
        "--scratch, or give ranks more --client-memory",
        bytes(forecast.spill_bytes()), bytes(forecast.scratch_free)));
  if (forecast.file_bytes() > static_cast<std::int64_t>(forecast.output_free))
    warnings.push_back(fmt::format("files: {}, but {} are free: name another folder with --out",
                                   describe_bytes(forecast.file_bytes()),
                                   bytes(forecast.output_free)));
  if (forecast.limit_seconds && forecast.seconds() > *forecast.limit_seconds)
    warnings.push_back(fmt::format(
        "time: {}, but the job has {}: give it more, or more ranks; a job of jobs/submit goes on "
        "by itself after its limit",
        describe_time(forecast.seconds()), describe_time(*forecast.limit_seconds)));
  if (forecast.merges_robustly)
    warnings.emplace_back(
        "time: without what the merge of server.merge takes, which grows with the cohort");
  if (auto idle = describe_idle(forecast.ranks.count, "ranks", forecast.clients, "clients");
      !idle.empty())
    warnings.push_back(std::move(idle));
  return warnings;
}

}  // namespace fedselect
