#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "app/commands.hpp"
#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "app/outcome.hpp"
#include "app/rank_device.hpp"
#include "app/run_log.hpp"
#include "base/progress.hpp"
#include "fed/simulation.hpp"
#include "io/manifest.hpp"
#include "io/run_writer.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

struct RunOptions {
  ConfigSource source;
  DeviceOptions device;
  std::string out = "runs";
  std::string name;  ///< empty: the config's
  bool quiet = false;
  std::vector<std::string> command;  ///< the command line, for the manifest
};

RunLog::Voice choose_voice(const RunOptions& options, const Communicator& comm) {
  if (!comm.is_root()) return RunLog::Voice::mute;
  if (options.quiet) return RunLog::Voice::quiet;
  return isatty(STDERR_FILENO) != 0 ? RunLog::Voice::terminal : RunLog::Voice::lines;
}

/// One folder a method.
std::vector<fs::path> choose_folders(const RunOptions& options, const Config& config) {
  const fs::path home = fs::path(options.out) / config.name;
  if (config.methods.size() == 1) return {home};
  std::vector<fs::path> folders;
  for (const MethodConfig& method : config.methods) folders.push_back(home / method.label);
  return folders;
}

void warn_of_idle_ranks(const Experiment& experiment, const Communicator& comm, RunLog& log) {
  const auto clients = experiment.partition.clients();
  if (static_cast<std::size_t>(comm.size()) > clients)
    log.warn(fmt::format("warning: {} ranks for {} clients, {} without work", comm.size(), clients,
                         static_cast<std::size_t>(comm.size()) - clients));
}

void warn_of_caveats(const Config& config, RunLog& log) {
  for (const MethodConfig& method : config.methods)
    if (const auto caveat = method.algorithm->caveat(config.rounds); !caveat.empty())
      log.warn(fmt::format("warning: {}: {}", method.label, caveat));
}

SimulationSetup setup_of(const Experiment& experiment, const MethodConfig& method) {
  const Config& config = experiment.config;
  return {.seed = static_cast<std::uint64_t>(config.seed),
          .rounds = static_cast<int>(config.rounds),
          .train = config.train,
          .server = config.server,
          .federation = config.federation,
          .evaluate = config.evaluate,
          .passes = passes_of(method, config.train),
          .initial = experiment.initial.values};
}

RunDescription describe_run(const Config& config, std::size_t index, std::string manifest) {
  const MethodConfig& method = config.methods[index];
  const auto tested_on = static_cast<std::size_t>(method.algorithm->tested_on());
  return {.name = config.name,
          .label = method.label,
          .method = method.name,
          .config = write_config(config, index),
          .manifest = std::move(manifest),
          .seed = config.seed,
          .tested_on = kTestedOnNames[tested_on],
          .masks = config.output.masks,
          .client_models = config.output.client_models,
          .cross = config.evaluate.cross,
          .target = config.evaluate.target};
}

std::string describe_status(const Outcome& outcome) {
  const auto accuracy = outcome.mean_accuracy();
  std::string status =
      accuracy ? fmt::format("accuracy {:.4f}", *accuracy) : "accuracy not measured yet";
  if (outcome.diverged() > 0) status += fmt::format(", diverged {}", outcome.diverged());
  return status;
}

/// Runs the methods of an experiment, one after another.
class Runner {
 public:
  Runner(const RunOptions& options, const Experiment& experiment, Communicator& comm, RunLog& log)
      : experiment_(experiment),
        config_(experiment.config),
        comm_(comm),
        log_(log),
        command_(options.command),
        folders_(choose_folders(options, experiment.config)),
        device_(options.device, comm) {
    together(comm_, [&] {
      if (comm_.is_root()) std::for_each(folders_.begin(), folders_.end(), require_unused);
    });
  }

  std::vector<Outcome> run() {
    std::vector<Outcome> outcomes;
    for (std::size_t i = 0; i < config_.methods.size(); ++i) outcomes.push_back(run_method(i));
    return outcomes;
  }

 private:
  /// Collective.
  Outcome run_method(std::size_t index) {
    const MethodConfig& method = config_.methods[index];
    Simulation simulation(setup_of(experiment_, method), *method.algorithm, experiment_.network,
                          experiment_.data, experiment_.partition, device_.view(), comm_);
    auto writer = open_run(index);
    Outcome outcome(method.label, experiment_.network.layout());
    run_rounds(title_of(index), simulation, *writer, outcome);
    together(comm_, [&] { writer->finish(simulation, experiment_.data, experiment_.partition); });
    if (outcome.diverged() > 0)
      log_.warn(
          fmt::format("warning: {}: clients diverged {} times, left out each time (see "
                      "metrics/diverged in result.h5)",
                      method.label, outcome.diverged()));
    log_.say(fmt::format("{}: done, {}", method.label, describe_status(outcome)));
    log_.close();
    return outcome;
  }

  std::unique_ptr<RunWriter> open_run(std::size_t index) {
    const fs::path& folder = folders_[index];
    auto description =
        describe_run(config_, index, make_manifest(comm_, device_.view().ops.device(), command_));
    std::unique_ptr<RunWriter> writer;
    together(comm_, [&] {
      writer =
          std::make_unique<RunWriter>(folder, std::move(description), experiment_.network, comm_);
    });
    log_.open(folder);
    for (const std::string& note : device_.notes()) log_.say(note);
    log_.say(fmt::format("{}: rounds {}, clients {}, ranks {}, folder {}", title_of(index),
                         config_.rounds, experiment_.partition.clients(), comm_.size(),
                         folder.string()));
    if (!experiment_.initial.note.empty()) log_.say(experiment_.initial.note);
    return writer;
  }

  void run_rounds(const std::string& title, Simulation& simulation, RunWriter& writer,
                  Outcome& outcome) {
    using Clock = std::chrono::steady_clock;
    Progress progress(title, config_.rounds, log_.draws_bar(),
                      [&](const std::string& line) { log_.progress(line); });
    for (int t = 0; t < config_.rounds; ++t) {
      const auto start = Clock::now();
      const RoundRecord mine = simulation.round(t);
      const RoundRecord all = gather(simulation.clock(), mine);
      if (!comm_.is_root()) continue;
      const PhaseClock::Scope timed(simulation.clock(), Phase::write);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      writer.add(all, seconds);
      outcome.add(all, seconds);
      progress.step(describe_status(outcome));
    }
  }

  /// The wait for slower ranks is communication, not writing.
  RoundRecord gather(PhaseClock& clock, const RoundRecord& mine) {
    const PhaseClock::Scope timed(clock, Phase::communicate);
    return gather_round(comm_, mine);
  }

  /// "fedavg (2 of 6)"
  std::string title_of(std::size_t index) const {
    const std::size_t n = config_.methods.size();
    const std::string& label = config_.methods[index].label;
    return n == 1 ? label : fmt::format("{} ({} of {})", label, index + 1, n);
  }

  const Experiment& experiment_;
  const Config& config_;
  Communicator& comm_;
  RunLog& log_;
  std::vector<std::string> command_;
  std::vector<fs::path> folders_;
  RankDevice device_;
};

/// Collective.
void run(const RunOptions& options, Communicator& comm) {
  RunLog log(choose_voice(options, comm));
  const Experiment experiment = load_experiment(options.source, comm);
  Runner runner(options, experiment, comm, log);
  warn_of_idle_ranks(experiment, comm, log);
  warn_of_caveats(experiment.config, log);
  const auto outcomes = runner.run();
  if (comm.is_root())
    fmt::print("{}\nwritten to {}\n", Outcome::table(outcomes),
               (fs::path(options.out) / experiment.config.name).string());
}

}  // namespace

void add_run_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("run", "run an experiment: every method of a config");
  auto options = std::make_shared<RunOptions>();
  add_config_options(*command, options->source);
  add_device_options(*command, options->device);
  command->add_option("--out", options->out, "folder in which runs are made")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--name", options->name, "name of the run's folder instead of the config's");
  command->add_flag("--quiet", options->quiet, "no progress: only warnings and the final table");
  command->footer(R"(Writes OUT/NAME, or OUT/NAME/LABEL for each of several methods: config.toml,
manifest.json, metrics.csv, result.h5, log.txt. A folder that holds a run already is refused.

Examples:
  fedselect run configs/quickstart.toml
  mpirun -n 4 fedselect run configs/quickstart.toml --set train.lr=0.1 --name faster)");
  command->callback([&request, options] {
    if (!options->name.empty()) options->source.overrides.push_back("name=" + options->name);
    options->command = request.words;
    request.together = [options](Communicator& comm) { run(*options, comm); };
  });
}

}  // namespace fedselect
