#include "app/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "app/binding.hpp"
#include "app/failure.hpp"
#include "app/method_setup.hpp"
#include "app/stop_signal.hpp"
#include "files/atomic_file.hpp"
#include "io/manifest.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using run_folder::State;

/// One folder a method.
std::vector<fs::path> choose_folders(const fs::path& home, const Config& config) {
  if (config.methods.size() == 1) return {home};
  std::vector<fs::path> folders;
  for (const MethodConfig& method : config.methods) folders.push_back(home / method.label);
  return folders;
}

std::string describe_status(const Outcome& outcome) {
  const auto accuracy = outcome.mean_accuracy();
  std::string status =
      accuracy ? fmt::format("accuracy {:.4f}", *accuracy) : "accuracy not measured yet";
  if (outcome.diverged() > 0) status += fmt::format(", diverged {}", outcome.diverged());
  return status;
}

/// Of a device its kind: "cuda:1 (NVIDIA H100)" without the number among those of its node.
std::string kind_of(std::string device) {
  if (const std::size_t colon = device.find(':'); colon != std::string::npos)
    device.erase(colon, device.find_first_not_of("0123456789", colon + 1) - colon);
  return device;
}

const char* open_part(const Simulation& simulation) {
  const auto& open = simulation.open_round();
  if (!open) return "";
  return open->is_merged ? " and the next but for its test" : " and some clients of the next";
}

}  // namespace

Runner::Runner(RunnerSetup setup, const Experiment& experiment, Communicator& comm, RunLog& log)
    : setup_(std::move(setup)),
      experiment_(experiment),
      config_(experiment.config),
      comm_(comm),
      log_(log),
      folders_(choose_folders(setup_.home, experiment.config)),
      device_(setup_.device, comm),
      binding_(describe_binding(comm, device_.place())),
      store_(choose_store_limits(setup_.store, comm)),
      data_hash_(fingerprint(experiment, comm)),
      clock_(config_.checkpoint) {
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    lock(setup_.home);
    if (setup_.resumes) run_folder::require_layout(setup_.home, folders_.size());
    for (const fs::path& folder : folders_) {
      if (!setup_.resumes) run_folder::require_unused(folder);
      run_folder::require_no_links(setup_.home, folder);
    }
    for (const fs::path& folder : folders_)
      if (folder != setup_.home) lock(folder);
    if (setup_.resumes)  // before anything is changed
      for (std::size_t i = 0; i < folders_.size(); ++i) require_resumable_run(i);
    if (folders_.size() == 1) return;
    replace_file(setup_.home / run_folder::kExperiment, write_config(config_));
  });
}

/// On the root: no other program works there from now on. Makes the folder where there is none.
void Runner::lock(const fs::path& folder) {
  run_folder::create(folder);
  locks_.push_back(std::make_unique<RunLock>(folder));
  const std::string warning = locks_.back()->warning();
  if (!warning.empty() && !std::exchange(is_unlocked_, true)) log_.warn(warning);
}

std::vector<Outcome> Runner::run() {
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < config_.methods.size(); ++i)
    if (auto outcome = run_method(i)) outcomes.push_back(std::move(*outcome));
  if (comm_.is_root() && !config_.checkpoint.at_end && !setup_.until)
    for (const fs::path& folder : folders_) run_folder::tidy(folder);
  return outcomes;
}

std::optional<Outcome> Runner::run_method(std::size_t index) {
  const MethodConfig& method = config_.methods[index];
  const State state = state_of(index);
  if (state == State::finished) return read_outcome(index);
  SimulationSetup setup = setup_of(experiment_, method);
  setup.store = store_;
  setup.fails_together = setup_.isolated;
  std::unique_ptr<Simulation> made;
  together(comm_, [&] {
    made = std::make_unique<Simulation>(setup, *method.algorithm, experiment_.network,
                                        experiment_.data, experiment_.partition, device_.view(),
                                        comm_);
  });
  Simulation& simulation = *made;
  const auto writer = open_run(index, state, simulation);
  Outcome outcome(method.label, experiment_.network.layout());
  together(comm_, [&] {
    if (comm_.is_root())
      writer->each_round(
          [&](const JournalEntry& entry) { outcome.add(entry.round, entry.seconds); });
  });
  run_rounds(index, simulation, *writer, outcome);
  if (writer->rounds_done() == config_.rounds) finish(index, simulation, *writer);
  if (outcome.diverged() > 0)
    log_.warn(
        fmt::format("warning: {}: clients diverged {} times, left out each time (see "
                    "metrics/diverged in result.h5)",
                    method.label, outcome.diverged()));
  log_.say(fmt::format("{}: done, {}", method.label, describe_status(outcome)));
  if (comm_.size() > 1)
    log_.say(fmt::format("{}: imbalance {:.2f} (busy seconds of the busiest rank over the mean)",
                         method.label, outcome.imbalance()));
  if (comm_.is_root()) log_.progress(fmt::format("audit.jsonl: head {}", writer->head()));
  log_.close();
  return outcome;
}

/// Collective: what is to be done with a method's folder, as the root sees it.
State Runner::state_of(std::size_t index) {
  std::vector<int> state;
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    const State found = find_state(index);
    if (found == State::begun) run_folder::clear(folders_[index]);
    state.push_back(static_cast<int>(found));
  });
  return static_cast<State>(gather_on_all(comm_, state).front());
}

/// Of a method that was finished by an earlier program.
std::optional<Outcome> Runner::read_outcome(std::size_t index) const {
  const MethodConfig& method = config_.methods[index];
  log_.say(fmt::format("{}: was finished before", title_of(index)));
  if (!comm_.is_root()) return std::nullopt;
  Outcome outcome(method.label, experiment_.network.layout());
  const auto rounds = RoundJournal::read(
      folders_[index] / run_folder::kJournal, bounds(),
      [&](const JournalEntry& entry) { outcome.add(entry.round, entry.seconds); });
  return rounds > 0 ? std::optional(outcome) : std::nullopt;
}

std::unique_ptr<RunWriter> Runner::open_run(std::size_t index, State state,
                                            Simulation& simulation) {
  const fs::path& folder = folders_[index];
  auto description = describe_run(
      config_, index, make_manifest(comm_, device_.view().ops.device(), setup_.command));
  description.data_hash = data_hash_;
  description.device = kind_of(device_.view().ops.device());
  std::unique_ptr<RunWriter> writer;
  together(comm_, [&] {
    const Network& network = experiment_.network;
    if (state == State::interrupted)
      writer = std::make_unique<RunWriter>(
          folder, std::move(description), network, comm_, simulation,
          [&](const CheckpointHeader& header) { accept(index, header); }, setup_.from_round);
    else
      writer =
          std::make_unique<RunWriter>(folder, std::move(description), network, comm_, simulation);
  });
  clock_.begin();
  log_.open(folder);
  for (const std::string& line : std::exchange(binding_, {})) log_.say(line);
  for (const std::string& note : device_.notes()) log_.say(note);
  log_.say(fmt::format("{}: rounds {}, clients {}, ranks {}, folder {}", title_of(index),
                       config_.rounds, experiment_.partition.clients(), comm_.size(),
                       folder.string()));
  if (!experiment_.initial.note.empty()) log_.say(experiment_.initial.note);
  if (!writer->note().empty()) log_.warn(writer->note());
  if (state == State::begun)
    log_.say(fmt::format("{}: begins again: the run that was here had no checkpoint yet",
                         title_of(index)));
  if (state == State::interrupted)
    log_.say(fmt::format("{}: goes on after round {}", title_of(index), writer->rounds_done()));
  return writer;
}

void Runner::run_rounds(std::size_t index, Simulation& simulation, RunWriter& writer,
                        Outcome& outcome) {
  Progress progress(
      title_of(index), config_.rounds, log_.draws_bar(),
      [&](const std::string& line) { log_.progress(line); }, writer.rounds_done());
  const std::int64_t end = std::min(setup_.until.value_or(config_.rounds), config_.rounds);
  for (int t = writer.rounds_done(); t < end; ++t) {
    run_round(t, simulation, writer, outcome, progress);
    if (t + 1 == end) break;
    const Next next = choose_next(t + 1);
    if (next == Next::stop) stop(simulation, writer);
    if (next == Next::checkpoint) save(simulation, writer);
  }
  if (end < config_.rounds) together(comm_, [&] { writer.checkpoint(keeps(simulation, writer)); });
}

/// Whether a checkpoint that is written now is one to go back to.
bool Runner::keeps(const Simulation& simulation, const RunWriter& writer) const {
  return !simulation.open_round() && clock_.keeps(writer.rounds_done());
}

/// Collective: what a simulation computes, and, where trials are isolated, agrees to fail in. What
/// a rank throws alone leaves others waiting, and ends the job.
void Runner::compute(const std::function<void()>& work) const {
  try {
    work();
  } catch (const AgreedFailure& error) {
    throw AgreedError(kExitFailure, error.what());
  }
}

void Runner::run_round(int t, Simulation& simulation, RunWriter& writer, Outcome& outcome,
                       Progress& progress) {
  const auto start = Clock::now();
  bool is_whole = false;
  while (!is_whole) {
    compute([&] {
      is_whole = simulation.train_cohort(t, [&, trained = false]() mutable {
        // Whatever the clock says, something is trained in between.
        return stop_requested() || (std::exchange(trained, true) && clock_.is_time());
      });
    });
    if (is_whole) break;
    if (somebody_stops()) stop(simulation, writer);
    save(simulation, writer);
  }
  std::optional<RoundRecord> mine;
  compute([&] { mine = simulation.complete_round(t, stop_requested); });
  if (!mine) stop(simulation, writer);
  PhaseClock& clock = simulation.clock();
  // The wait for slower ranks is communication, not writing.
  const RoundRecord all = [&] {
    const PhaseClock::Scope timed(clock, Phase::communicate);
    return gather_round(comm_, *mine);
  }();
  const PhaseClock::Scope timed(clock, Phase::write);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  writer.add(all, seconds);
  if (!comm_.is_root()) return;
  outcome.add(all, seconds);
  progress.step(describe_status(outcome));
}

/// Collective: any rank may have been asked to.
bool Runner::somebody_stops() const { return comm_.all_reduce_min(stop_requested() ? 0 : 1) == 0; }

/// The root's clock decides about checkpoints; any rank may have been asked to stop.
Runner::Next Runner::choose_next(int rounds_done) const {
  const Next mine = stop_requested()                                ? Next::stop
                    : comm_.is_root() && clock_.is_due(rounds_done) ? Next::checkpoint
                                                                    : Next::round;
  return static_cast<Next>(comm_.all_reduce_min(static_cast<std::int64_t>(mine)));
}

/// Writes a checkpoint. The run goes on without one if there is no room for it.
void Runner::save(Simulation& simulation, RunWriter& writer) {
  const PhaseClock::Scope timed(simulation.clock(), Phase::write);
  clock_.start();
  std::string failure;
  try {
    writer.checkpoint(keeps(simulation, writer));
  } catch (const AgreedFailure& error) {  // what a rank has alone leaves others waiting
    failure = error.what();
  }
  clock_.stop();
  const auto after = fmt::format("after round {}{}", writer.rounds_done(), open_part(simulation));
  if (failure.empty())
    log_.progress(fmt::format("checkpoint {}: {:.2f} s, {:.2f} s in all", after,
                              clock_.last_seconds(), clock_.all_seconds()));
  else
    log_.warn(fmt::format("warning: no checkpoint {}, the run goes on: {}", after, failure));
}

void Runner::stop(Simulation& simulation, RunWriter& writer) {
  together(comm_, [&] { writer.checkpoint(keeps(simulation, writer)); });
  const auto signal = stop_signal();
  const auto message =
      fmt::format("stopped by {} after round {} of {}{}: go on with fedselect run --resume {}",
                  signal.empty() ? "a signal to another rank" : signal, writer.rounds_done(),
                  config_.rounds, open_part(simulation), setup_.home.string());
  log_.progress(message);
  throw AgreedError(kExitStopped, message);
}

void Runner::finish(std::size_t index, Simulation& simulation, RunWriter& writer) {
  if (somebody_stops()) stop(simulation, writer);
  const CheckpointConfig& cadence = config_.checkpoint;
  // Whatever ends what is still to be done must not cost the rounds.
  const bool is_long =
      config_.evaluate.cross || config_.federation.new_clients > 0 || config_.output.client_models;
  const bool saves = cadence.every_minutes > 0 || cadence.every_rounds > 0;
  if (cadence.at_end || clock_.keeps(writer.rounds_done()) || (is_long && saves))
    save(simulation, writer);
  bool is_whole = false;
  compute([&] { is_whole = simulation.conclude(stop_requested); });
  if (!is_whole) stop(simulation, writer);
  together(comm_, [&] { writer.finish(experiment_.data, experiment_.partition); });
  if (comm_.is_root() && !cadence.at_end) run_folder::remove_checkpoints(folders_[index]);
}

/// "fedavg (2 of 6)"
std::string Runner::title_of(std::size_t index) const {
  const std::size_t n = config_.methods.size();
  const std::string& label = config_.methods[index].label;
  return n == 1 ? label : fmt::format("{} ({} of {})", label, index + 1, n);
}

}  // namespace fedselect
