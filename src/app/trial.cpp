#include "app/trial.hpp"

#include <algorithm>

#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "app/run_log.hpp"
#include "app/runner.hpp"
#include "io/audit_log.hpp"
#include "io/run_folder.hpp"

namespace fedselect {

namespace {

using sweep::Record;

std::vector<Outcome> run(const TrialSetup& setup, const sweep::Task& task,
                         const std::filesystem::path& folder, Communicator& worker) {
  const Experiment experiment =
      load_experiment(source_of(setup.sweep, setup.plan, task.trial), worker);
  RunLog log(worker.is_root() ? RunLog::Voice::file : RunLog::Voice::mute);
  Runner runner({.home = folder,
                 .resumes = true,
                 .from_round = {},
                 .until = task.rounds,
                 .isolated = true,
                 .allowed_changes = {},
                 .command = setup.command,
                 .device = setup.device,
                 .store = setup.store},
                experiment, worker, log);
  return runner.run();
}

}  // namespace

ConfigSource source_of(const sweep::SweepConfig& sweep, const sweep::Plan& plan,
                       std::size_t trial) {
  const sweep::Trial& chosen = plan.trials[trial];
  return {.path = sweep.experiment,
          .overrides = chosen.overrides,
          .method = plan.candidates[chosen.candidate].method};
}

Record run_trial(const TrialSetup& setup, const sweep::Task& task, Communicator& worker) {
  const sweep::Trial& trial = setup.plan.trials[task.trial];
  const auto folder = setup.folder / trial.id;
  Record record{
      .trial = trial.id, .status = Record::Status::done, .rounds = task.rounds, .message = {}};
  try {
    const auto outcomes = run(setup, task, folder, worker);
    if (!worker.is_root()) return record;
    const Outcome& outcome = outcomes.front();
    record.accuracy = outcome.mean_accuracy().value_or(Record::kNone);
    record.worst_accuracy = outcome.worst_accuracy().value_or(Record::kNone);
    record.personal_share = outcome.personal_share();
    record.bytes = outcome.bytes();
    record.gradients = outcome.gradients();
    record.diverged = outcome.diverged();
    record.seconds = outcome.seconds();
  } catch (const AgreedError& error) {
    record.status =
        error.exit_code() == kExitStopped ? Record::Status::stopped : Record::Status::failed;
    record.rounds = 0;
    record.message = error.what();
  }
  return record;
}

std::string time_of_checkpoint(const std::filesystem::path& folder) {
  try {
    const auto entries = read_audit_log(folder / run_folder::kAudit);
    const auto last = std::find_if(entries.rbegin(), entries.rend(), [](const AuditEntry& entry) {
      return entry.what == "checkpoint";
    });
    return last == entries.rend() ? "" : last->time;
  } catch (const InputError&) {
    return "";
  }
}

}  // namespace fedselect
