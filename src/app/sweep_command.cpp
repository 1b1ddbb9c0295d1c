#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "app/commands.hpp"
#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "app/stop_signal.hpp"
#include "app/text.hpp"
#include "app/trial.hpp"
#include "app/watch_options.hpp"
#include "base/error.hpp"
#include "base/progress.hpp"
#include "files/atomic_file.hpp"
#include "io/config.hpp"
#include "io/run_folder.hpp"
#include "io/run_lock.hpp"
#include "sweep/coordinator.hpp"
#include "sweep/table.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using sweep::Record;

struct SweepOptions {
  std::string path;
  std::string out = "runs";
  int ranks_per_trial = 1;
  bool continues = false;
  bool retries = false;
  std::optional<std::size_t> only;  ///< number of the only trial to run, from 1
  bool lists = false;
  bool tables = false;  ///< runs nothing
  bool quiet = false;
  std::vector<std::string> overrides;
  DeviceOptions device;
  StoreOptions store;
  std::vector<std::string> command;
};

/// What all ranks of a sweep know.
struct Sweep {
  sweep::SweepConfig config;
  sweep::Plan plan;
  std::int64_t clients = 0;  ///< of the first trial
  fs::path folder;
};

/// The one trial of an array's task as a plan of its own.
sweep::Plan choose_trial(const sweep::Plan& plan, std::size_t number) {
  require(number <= plan.trials.size(),
          fmt::format("--only {}: the sweep has {} trials", number, plan.trials.size()));
  sweep::Trial trial = plan.trials[number - 1];
  sweep::Candidate candidate = plan.candidates[trial.candidate];
  trial.candidate = 0;
  candidate.trials = {0};
  return {.candidates = {std::move(candidate)}, .trials = {std::move(trial)}};
}

/// --set may not set what the sweep does.
void refuse_varied(const sweep::SweepConfig& sweep, const std::string& override) {
  const std::string key = override.substr(0, override.find('='));
  const bool is_varied =
      key == "name" || (key == "seed" && !sweep.seeds.empty()) ||
      std::any_of(sweep.parameters.begin(), sweep.parameters.end(),
                  [&](const sweep::Parameter& parameter) { return parameter.key == key; });
  require(!is_varied,
          fmt::format("--set {}: the sweep sets {} itself: change it there", override, key));
}

/// Collective.
Sweep load(const SweepOptions& options, Communicator& comm) {
  Sweep sweep;
  together(comm, [&] {
    sweep.config = sweep::read_sweep(options.path);
    sweep.config.overrides = options.overrides;
    for (const std::string& override : options.overrides) refuse_varied(sweep.config, override);
    sweep.plan = sweep::make_plan(sweep.config);
    if (options.only) {
      require(sweep.config.halving.first == 0,
              "--only: trials of a sweep with [halving] have to be compared: run it in one job");
      sweep.plan = choose_trial(sweep.plan, *options.only);
    }
  });
  // Data that suit no trial are found here.
  if (!options.tables) {
    const ClientData data = load_client_data(source_of(sweep.config, sweep.plan, 0), comm);
    sweep.clients = data.config.data.clients;
    sweep::weigh_models(sweep.plan, data.data.image, data.data.classes);
  }
  sweep.folder = fs::path(options.out) / sweep.config.name;
  return sweep;
}

int count_workers(const SweepOptions& options, const Communicator& comm) {
  if (options.ranks_per_trial > comm.size())
    throw InputError(fmt::format("--ranks-per-trial {}: the job has {} ranks",
                                 options.ranks_per_trial, comm.size()));
  const int workers = comm.size() / options.ranks_per_trial;
  if (workers > 1 && !mpi_has_threads())
    throw InputError(fmt::format(
        "this MPI library has no threads (MPI_THREAD_MULTIPLE), so only one trial can run at a "
        "time: add --ranks-per-trial {}, or use another library",
        comm.size()));
  return workers;
}

void warn_of_idle_ranks(const Sweep& sweep, int ranks, int ranks_per_trial, RunLog& log) {
  const int workers = ranks / ranks_per_trial;
  const auto trials = static_cast<std::int64_t>(sweep.plan.trials.size());
  for (const std::string& idle :
       {describe_idle(ranks, "ranks", workers * ranks_per_trial,
                      fmt::format("places in workers of {}", ranks_per_trial)),
        describe_idle(workers, "workers", trials, "trials"),
        describe_idle(ranks_per_trial, "ranks of a trial", sweep.clients, "clients")})
    if (!idle.empty()) log.warn(fmt::format("warning: {}", idle));
}

/// The folder of the sweep, which may be one that was begun before.
void open_folder(const SweepOptions& options, const Sweep& sweep) {
  if (options.tables) {
    require(
        fs::exists(sweep.folder / "journal"),
        fmt::format("--tables: {}: no sweep was begun there: run it first, or say --out as then",
                    sweep.folder.string()));
    return;
  }
  const bool continues = options.continues || options.retries || options.only;
  std::error_code error;
  if (!continues && fs::exists(sweep.folder, error) && !fs::is_empty(sweep.folder, error))
    throw InputError(fmt::format(
        "{}: holds a sweep, or something else, already: go on with it by --continue, or choose "
        "another place with --out",
        sweep.folder.string()));
  run_folder::create(sweep.folder);
}

std::string describe(const Record& record, const sweep::Metric metric) {
  if (record.status == Record::Status::failed)
    return fmt::format("{} failed: {}", record.trial, record.message);
  return metric == sweep::Metric::accuracy
             ? fmt::format("{} accuracy {:.4f}", record.trial, record.accuracy)
             : fmt::format("{} worst accuracy {:.4f}", record.trial, record.worst_accuracy);
}

std::string describe_best(const std::vector<sweep::Best>& best) {
  std::vector<std::vector<std::string>> rows{
      {"method", "best of", "score", "95 % interval", "seeds", "bytes up + down", "at"}};
  for (const sweep::Best& entry : best)
    rows.push_back(
        {entry.method, fmt::format("{}", entry.compared), fmt::format("{:.4f}", entry.score),
         entry.trials < 2 ? "-" : fmt::format("± {:.4f}", entry.half_width),
         fmt::format("{}", entry.trials), describe_bytes(static_cast<std::int64_t>(entry.bytes)),
         entry.values.empty() ? "-" : entry.values});
  return align_table(rows);
}

/// How the program ends.
struct Ending {
  ExitCode exit_code = kExitSuccess;
  std::string message;
};

/// Rank 0: the journal, the coordinator, and what they tell.
class Office {
 public:
  Office(const SweepOptions& options, const Sweep& sweep, RunLog& log)
      : sweep_(sweep),
        log_(log),
        writes_(!options.only),
        lock_(writes_ ? std::make_unique<RunLock>(sweep.folder) : nullptr),
        journal_(sweep.folder.string(),
                 options.only ? sweep.plan.trials.front().id : std::string("sweep")),
        coordinator_(sweep.plan, sweep.config, journal_, options.retries,
                     {.stops = stop_requested,
                      .finished = [this](const Record& record) { tell(record); },
                      .saved =
                          [this](const std::string& trial) {
                            return time_of_checkpoint(sweep_.folder / "trials" / trial);
                          }}),
        progress_(
            sweep.config.name, coordinator_.schedule().total(), log.draws_bar(),
            [this](const std::string& line) { log_.progress(line); },
            std::min(coordinator_.schedule().done(), coordinator_.schedule().total())) {
    if (lock_ && !lock_->warning().empty()) log_.warn(lock_->warning());
  }

  sweep::Coordinator& coordinator() { return coordinator_; }

  /// After the last task: writes the tables, prints the best, and says how the program ends.
  Ending conclude() {
    coordinator_.check();
    write_tables();
    if (writes_) sweep::write_hdf5(sweep_.folder, standings());
    if (coordinator_.stopped())
      return {kExitStopped, fmt::format("stopped; the same command with --continue goes on in {}",
                                        sweep_.folder.string())};
    fmt::print("{}\nwritten to {}\n", describe_best(sweep::best_of_each_method(standings())),
               sweep_.folder.string());
    const auto& records = coordinator_.standings();
    const auto failed = std::count_if(records.begin(), records.end(), [](const Record& record) {
      return record.status == Record::Status::failed;
    });
    std::vector<std::string> lacks;
    if (const std::int64_t missing = coordinator_.schedule().waiting(); missing > 0)
      lacks.push_back(
          fmt::format("{} of {} trials are missing, or not at their ends: --continue, or their "
                      "--only, runs them",
                      missing, records.size()));
    if (failed > 0)
      lacks.push_back(
          fmt::format("{} of {} trials failed (column message of {}/sweep.csv): "
                      "--retry-failed runs them again",
                      failed, records.size(), sweep_.folder.string()));
    if (lacks.empty()) return {};
    return {kExitFailure, fmt::format("{}", fmt::join(lacks, "; "))};
  }

 private:
  sweep::Standings standings() const {
    return {.sweep = sweep_.config, .plan = sweep_.plan, .records = coordinator_.standings()};
  }

  void tell(const Record& record) {
    if (record.status == Record::Status::failed) log_.warn("warning: " + describe(record, {}));
    progress_.expect(coordinator_.schedule().total(), coordinator_.left_to_done());
    progress_.step(describe(record, sweep_.config.metric));
    write_tables();
  }

  /// The tasks of an array leave the tables to a last job that sees all of them.
  void write_tables() const {
    if (writes_) sweep::write_csv(sweep_.folder, standings());
  }

  const Sweep& sweep_;
  RunLog& log_;
  bool writes_;
  std::unique_ptr<RunLock> lock_;  ///< not of an array's tasks: their trials have their own
  sweep::Journal journal_;
  sweep::Coordinator coordinator_;
  Progress progress_;
};

/// Collective over the ranks of one worker.
void work(const TrialSetup& setup, Communicator& worker, const sweep::Question& question) {
  std::optional<Record> report;
  for (;;) {
    std::vector<sweep::Order> order;
    if (worker.is_root()) order.push_back(sweep::ask(question, report));
    order = gather_on_all(worker, order);
    if (order.front().kind == sweep::Order::Kind::end) return;
    report = run_trial(setup, order.front().task, worker);
  }
}

/// Collective: all trials, by as many workers. `office` is rank 0's.
void run_trials(const SweepOptions& options, const Sweep& sweep, int workers, Office* office,
                Communicator& comm) {
  DeviceOptions device = options.device;
  StoreOptions store = options.store;
  count_sharers(device, comm);
  settle_memory(store, comm);
  // Ranks beyond the last whole worker are a worker that never asks.
  const int number = comm.rank() / options.ranks_per_trial;
  const auto worker = comm.split(number);
  const bool leads = worker->is_root() && number < workers;
  const auto leaders = comm.split(leads ? 0 : 1);
  const TrialSetup setup{.sweep = sweep.config,
                         .plan = sweep.plan,
                         .folder = sweep.folder / "trials",
                         .command = options.command,
                         .device = device,
                         .store = store};
  std::jthread server;  // joined even if this rank's own work throws
  if (office != nullptr)
    server = std::jthread(
        [&] { run_guarded(comm, [&] { sweep::serve(*leaders, office->coordinator()); }); });
  const auto take_orders = [&] {
    if (number >= workers) return;
    work(setup, *worker,
         office != nullptr ? sweep::Question([&](const auto& report) {
           return office->coordinator().next(report);
         })
                           : sweep::question_for(*leaders));
  };
  // One of several ranks that fails alone ends the job here: its thread can't outlive the others.
  if (comm.size() == 1)
    take_orders();
  else
    run_guarded(comm, take_orders);
}

/// Collective.
void run(const SweepOptions& options, Communicator& comm) {
  const Sweep sweep = load(options, comm);
  if (options.lists) {
    for (std::size_t i = 0; comm.is_root() && i < sweep.plan.trials.size(); ++i)
      fmt::print("{} {}\n", i + 1, sweep.plan.trials[i].id);
    return;
  }
  int workers = 0;
  RunLog log(choose_voice(options.quiet, comm));
  std::unique_ptr<Office> office;
  together(comm, [&] {
    workers = count_workers(options, comm);
    if (!comm.is_root()) return;
    open_folder(options, sweep);
    office = std::make_unique<Office>(options, sweep, log);
    // Tasks of an array begin at the same time; the last job, which makes the tables, writes it.
    if (!options.only) replace_file(sweep.folder / "sweep.toml", read_config_text(options.path));
  });
  if (!options.tables) {
    log.say(fmt::format("{}: {} candidates, {} trials, {} workers of {} ranks, folder {}",
                        sweep.config.name, sweep.plan.candidates.size(), sweep.plan.trials.size(),
                        workers, options.ranks_per_trial, sweep.folder.string()));
    warn_of_idle_ranks(sweep, comm.size(), options.ranks_per_trial, log);
    run_trials(options, sweep, workers, office.get(), comm);
  }
  Ending ending;
  together(comm, [&] {
    if (office) ending = office->conclude();
  });
  const auto exit_code = gather_on_all(comm, std::vector{ending.exit_code}).front();
  if (exit_code != kExitSuccess) throw AgreedError(exit_code, ending.message);
}

}  // namespace

void add_sweep_command(CLI::App& app, Request& request) {
  auto* command =
      app.add_subcommand("sweep", "run an experiment at many points: methods, keys, seeds");
  auto options = std::make_shared<SweepOptions>();
  command->add_option("SWEEP", options->path, "the sweep, a TOML file")->required();
  command->add_option("--out", options->out, "folder in which sweeps are made")
      ->type_name("DIR")
      ->capture_default_str();
  command
      ->add_option("--ranks-per-trial", options->ranks_per_trial,
                   "ranks that run one trial; the job's ranks make as many workers as they can")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  auto* continues = command->add_flag("--continue", options->continues,
                                      "go on with the sweep if it was begun before, else begin it");
  auto* retries = command->add_flag("--retry-failed", options->retries,
                                    "the same, and run the trials that failed once more");
  auto* only = command
                   ->add_option("--only", options->only,
                                "run trial number N of --list alone: for the tasks of a job "
                                "array; --tables makes the tables when all are done")
                   ->type_name("N")
                   ->check(CLI::Range(1, 1000000000));
  add_set_option(*command, options->overrides);
  auto* lists = command->add_flag("--list", options->lists, "list the trials, and run nothing");
  auto* tables = command->add_flag(
      "--tables", options->tables,
      "make the tables of the trials that were run, say how many are missing, and run nothing");
  for (auto* other : {continues, retries, lists}) tables->excludes(other);
  tables->excludes(only);
  add_device_options(*command, options->device);
  add_store_options(*command, options->store);
  add_watch_options(*command, request.limits);
  command->add_flag("--quiet", options->quiet, "no progress: only warnings and the final table");
  command->footer(
      R"(Writes OUT/NAME: sweep.csv while it runs, sweep.h5 at the end, and every trial's run in
trials/. Results do not depend on the number of workers or of their ranks. Signals stop a sweep as
they stop a run (exit code 75); it ends with exit code 1 if a trial failed or, with --tables, is
missing.

Examples:
  fedselect sweep configs/sweeps/rate.toml
  mpirun -n 8 fedselect sweep configs/sweeps/rate.toml --ranks-per-trial 2
  mpirun -n 8 fedselect sweep configs/sweeps/rate.toml --continue
  fedselect sweep configs/sweeps/rate.toml --tables
  analysis/sweep runs/rate)");
  command->callback([&request, options] {
    options->command = request.words;
    watch_stop_signals();
    request.together = [options](Communicator& comm) { run(*options, comm); };
  });
}

}  // namespace fedselect
