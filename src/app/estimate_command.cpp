#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string_view>

#include "app/commands.hpp"
#include "app/estimate_report.hpp"
#include "app/estimator.hpp"
#include "app/failure.hpp"
#include "base/error.hpp"
#include "estimate/time_limit.hpp"
#include "fed/traffic.hpp"
#include "files/atomic_file.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

struct Options {
  ConfigSource source;
  EstimateOptions estimate;
  std::string profile;
  std::string out = "runs";
  std::string json;
  std::string time;  ///< limit of the job
};

std::optional<std::int64_t> parse_whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc{} && end == text.data() + text.size() && value >= 0;
  return is_whole ? std::optional(value) : std::nullopt;
}

/// What is given, else what Slurm says of this job.
std::optional<double> find_limit(const std::string& text) {
  if (!text.empty()) {
    const auto limit = parse_time_limit(text);
    require(
        limit.has_value(),
        fmt::format("--time {}: must be MINUTES, M:S, H:M:S, DAYS-HOURS, D-H:M or D-H:M:S, such "
                    "as 2:00:00",
                    text));
    return limit;
  }
  const char* end = std::getenv("SLURM_JOB_END_TIME");  // seconds since 1970
  const auto seconds = end == nullptr ? std::nullopt : parse_whole(end);
  if (!seconds) return std::nullopt;
  return std::max(0.0, static_cast<double>(*seconds) - static_cast<double>(std::time(nullptr)));
}

/// Free bytes where a folder is, or would be.
std::size_t free_bytes(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder);
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  const auto space = fs::space(folder, error);
  return error ? static_cast<std::size_t>(-1) : static_cast<std::size_t>(space.available);
}

/// Collective.
void estimate(const Options& options, Communicator& comm) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<DeviceProfile> profile;
  std::optional<double> limit;
  together(comm, [&] {
    if (!options.profile.empty()) profile = read_profile(options.profile);
    limit = find_limit(options.time);
  });
  const Experiment experiment = load_experiment(options.source, comm);
  Estimator estimator(options.estimate, experiment, comm);
  const std::chrono::duration<double> started = std::chrono::steady_clock::now() - start;

  ExperimentForecast forecast{
      .name = experiment.config.name,
      .clients = static_cast<std::int64_t>(experiment.partition.clients()),
      .model_bytes = bytes_of_model(experiment.network.layout()),
      .device = estimator.device(),
      .ranks = estimator.ranks(),
      .methods = {},
      .start_seconds = started.count(),
      .profile = std::move(profile),
      .merges_robustly = experiment.config.server.merge != Merge::mean,
      .node = measure_node(),
      .scratch_free = free_bytes(options.estimate.store.scratch.empty()
                                     ? fs::temp_directory_path()
                                     : fs::path(options.estimate.store.scratch)),
      .output_free = free_bytes(options.out),
      .limit_seconds = limit};
  for (std::size_t i = 0; i < experiment.config.methods.size(); ++i)
    forecast.methods.push_back(estimator.forecast(i));
  forecast.shared_bytes = estimator.shared_bytes();
  together(comm, [&] {
    if (comm.is_root() && !options.json.empty()) replace_file(options.json, write_json(forecast));
  });
  if (!comm.is_root()) return;
  fmt::print("{}", describe(forecast));
  for (const std::string& warning : warnings_of(forecast))
    fmt::print(stderr, "warning: {}\n", warning);
}

}  // namespace

void add_estimate_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand(
      "estimate", "say what an experiment will need: memory, bytes, operations, files, time");
  auto options = std::make_shared<Options>();
  add_config_options(*command, options->source);
  command
      ->add_option("--ranks", options->estimate.ranks,
                   "ranks of the run that is meant (default: those that the estimate has)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  command
      ->add_option("--ranks-per-node", options->estimate.ranks_on_node,
                   "how many of them share a node (default: as here, else all)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  add_device_options(*command, options->estimate.device);
  add_store_options(*command, options->estimate.store);
  command
      ->add_option("--profile", options->profile,
                   "devices of real clients, such as configs/profiles/mobile.toml: what the "
                   "federation would cost them")
      ->type_name("FILE");
  command
      ->add_option(
          "--time", options->time,
          "limit of the job, as Slurm writes it (120, 2:00:00, 1-12), to be warned of (default: "
          "what Slurm says of this job)")
      ->type_name("TIME");
  command->add_option("--out", options->out, "folder in which the run would be made")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--json", options->json, "write the forecast into this file, too")
      ->type_name("FILE");
  command->footer(
      R"(Trains a few batches to measure this machine, nothing else; its files go again. Start it on the ranks
and nodes of the run that is meant, while nothing else runs there: then the time is right as well.

Examples:
  fedselect estimate configs/quickstart.toml --profile configs/profiles/mobile.toml
  mpirun -n 2 fedselect estimate configs/quickstart.toml --ranks 10 --time 0:10:00)");
  command->callback([&request, options] {
    options->estimate.command = request.words;
    request.together = [options](Communicator& comm) { estimate(*options, comm); };
  });
}

}  // namespace fedselect
