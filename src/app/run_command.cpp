#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "app/commands.hpp"
#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "app/runner.hpp"
#include "app/stop_signal.hpp"
#include "app/text.hpp"
#include "app/watch_options.hpp"
#include "base/error.hpp"
#include "io/run_folder.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

struct RunOptions {
  ConfigSource source;
  DeviceOptions device;
  StoreOptions store;
  std::string out = "runs";
  std::string name;               ///< empty: the config's
  std::string resume;             ///< folder to go on in; empty: OUT/NAME
  bool continues = false;         ///< goes on in OUT/NAME if a run is there
  std::optional<int> from_round;  ///< with resume
  std::vector<std::string> allowed_changes;
  bool quiet = false;
  std::vector<std::string> command;  ///< the command line, for the manifest
};

void warn_of_idle_ranks(const Experiment& experiment, const Communicator& comm, RunLog& log) {
  const auto clients = static_cast<std::int64_t>(experiment.partition.clients());
  if (const auto idle = describe_idle(comm.size(), "ranks", clients, "clients"); !idle.empty())
    log.warn(fmt::format("warning: {}", idle));
}

void warn_of_caveats(const Config& config, RunLog& log) {
  for (const MethodConfig& method : config.methods)
    if (const auto caveat = method.algorithm->caveat(config.rounds); !caveat.empty())
      log.warn(fmt::format("warning: {}: {}", method.label, caveat));
}

/// The config that is named, or that the run to resume left behind.
ConfigSource choose_source(const RunOptions& options, Communicator& comm) {
  ConfigSource source = options.source;
  if (source.path.empty())
    together(comm, [&] { source.path = run_folder::find_config(options.resume).string(); });
  return source;
}

/// Collective.
void run(const RunOptions& options, Communicator& comm) {
  RunLog log(choose_voice(options.quiet, comm));
  const Experiment experiment = load_experiment(choose_source(options, comm), comm);
  const fs::path home = options.resume.empty() ? fs::path(options.out) / experiment.config.name
                                               : fs::path(options.resume);
  Runner runner({.home = home,
                 .resumes = options.continues || !options.resume.empty(),
                 .from_round = options.from_round,
                 .until = {},
                 .allowed_changes = options.allowed_changes,
                 .command = options.command,
                 .device = options.device,
                 .store = options.store},
                experiment, comm, log);
  warn_of_idle_ranks(experiment, comm, log);
  warn_of_caveats(experiment.config, log);
  const auto outcomes = runner.run();
  if (!comm.is_root()) return;
  if (outcomes.empty())
    fmt::print("nothing to do: {} is finished\n", home.string());
  else
    fmt::print("{}\nwritten to {}\n", Outcome::table(outcomes), home.string());
}

}  // namespace

void add_run_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("run", "run an experiment: every method of a config");
  auto options = std::make_shared<RunOptions>();
  add_config_options(*command, options->source);
  command->get_option("CONFIG")->required(false);
  add_device_options(*command, options->device);
  add_store_options(*command, options->store);
  command->add_option("--out", options->out, "folder in which runs are made")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--name", options->name, "name of the run's folder instead of the config's");
  command
      ->add_option("--resume", options->resume,
                   "go on with the run in this folder, OUT/NAME, from its last checkpoint; CONFIG "
                   "is then the one that the run left there, unless named")
      ->type_name("RUN")
      ->excludes("--out")
      ->excludes("--name");
  command
      ->add_flag("--continue", options->continues,
                 "go on with the run in OUT/NAME if one is there, else begin it: for jobs that are "
                 "put back into the queue")
      ->excludes("--resume");
  command
      ->add_option("--from-round", options->from_round,
                   "with --resume: go back to the state after so many rounds, which the run kept "
                   "(checkpoint.keep_every; fedselect history lists them)")
      ->type_name("ROUNDS")
      ->check(CLI::Range(1, 2147483647))
      ->needs("--resume");
  command
      ->add_option("--allow-change", options->allowed_changes,
                   "with --resume or --continue: a key of the config that may differ from the "
                   "run's, such as "
                   "rounds; may be repeated")
      ->type_name("KEY")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_watch_options(*command, request.limits);
  command->add_flag("--quiet", options->quiet, "no progress: only warnings and the final table");
  command->footer(R"(Writes OUT/NAME, or OUT/NAME/LABEL for each of several methods: config.toml,
manifest.json, metrics.csv, result.h5, log.txt. A folder that holds a run already is refused.

SIGTERM, SIGINT, SIGUSR1 or SIGUSR2 stops the run in order: the client in hand is finished, a
checkpoint written, and the program ends with exit code 75. A second one ends it at once.

Examples:
  fedselect run configs/quickstart.toml
  mpirun -n 4 fedselect run configs/quickstart.toml --set train.lr=0.1 --name faster
  mpirun -n 8 fedselect run --resume runs/faster
  fedselect run --resume runs/faster --set rounds=200 --allow-change rounds)");
  command->callback([&request, options] {
    if (options->source.path.empty() && options->resume.empty()) throw CLI::RequiredError("CONFIG");
    if (!options->name.empty()) options->source.overrides.push_back("name=" + options->name);
    options->command = request.words;
    watch_stop_signals();  // before MPI starts: a signal may come early
    request.together = [options](Communicator& comm) { run(*options, comm); };
  });
}

}  // namespace fedselect
