#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/checkpoint_clock.hpp"
#include "app/experiment.hpp"
#include "app/outcome.hpp"
#include "app/rank_device.hpp"
#include "app/run_log.hpp"
#include "app/store_limits.hpp"
#include "base/progress.hpp"
#include "fed/simulation.hpp"
#include "io/run_folder.hpp"
#include "io/run_lock.hpp"
#include "io/run_writer.hpp"

namespace fedselect {

/// How the methods of an experiment are run.
struct RunnerSetup {
  std::filesystem::path home;     ///< the folder of one method; or holds one for each of several
  bool resumes = false;           ///< goes on with what is there
  std::optional<int> from_round;  ///< from the version that was kept after so many rounds
  /// Leaves off after so many rounds, with a checkpoint, if they are fewer than the config's.
  std::optional<std::int64_t> until;
  /// A rank whose training or tests fail does not end the job: its peers learn of it when they are
  /// done with theirs, and all throw the same AgreedError.
  bool isolated = false;
  std::vector<std::string> allowed_changes;  ///< keys of the config that may differ then
  std::vector<std::string> command;          ///< the command line, for the manifest
  DeviceOptions device;
  StoreOptions store;
};

/// Runs the methods of an experiment, one after another, each in its folder.
class Runner {
 public:
  /// Collective; so are all members. All ranks throw AgreedError if a new run's folder is in use.
  Runner(RunnerSetup setup, const Experiment& experiment, Communicator& comm, RunLog& log);

  /// What each method came to, but for those that earlier programs finished with all others. All
  /// ranks throw AgreedError with kExitStopped if a signal asked one of them to stop.
  std::vector<Outcome> run();

 private:
  using Clock = std::chrono::steady_clock;
  /// What comes after a round.
  enum class Next { stop, checkpoint, round };

  void lock(const std::filesystem::path& folder);
  std::optional<Outcome> run_method(std::size_t index);
  run_folder::State find_state(std::size_t index) const;
  void require_resumable_run(std::size_t index) const;
  JournalBounds bounds() const;
  void compute(const std::function<void()>& work) const;
  run_folder::State state_of(std::size_t index);
  std::optional<Outcome> read_outcome(std::size_t index) const;
  std::unique_ptr<RunWriter> open_run(std::size_t index, run_folder::State state,
                                      Simulation& simulation);
  void accept(std::size_t index, const std::string& stored, int rounds) const;
  void accept(std::size_t index, const CheckpointHeader& header) const;
  void run_rounds(std::size_t index, Simulation& simulation, RunWriter& writer, Outcome& outcome);
  void run_round(int t, Simulation& simulation, RunWriter& writer, Outcome& outcome,
                 Progress& progress);
  bool keeps(const Simulation& simulation, const RunWriter& writer) const;
  bool somebody_stops() const;
  Next choose_next(int rounds_done) const;
  void save(Simulation& simulation, RunWriter& writer);
  [[noreturn]] void stop(Simulation& simulation, RunWriter& writer);
  void finish(std::size_t index, Simulation& simulation, RunWriter& writer);
  std::string title_of(std::size_t index) const;

  RunnerSetup setup_;
  const Experiment& experiment_;
  const Config& config_;
  Communicator& comm_;
  RunLog& log_;
  std::vector<std::filesystem::path> folders_;
  RankDevice device_;
  std::vector<std::string> binding_;  ///< for the log, on the root, until it was said
  StoreLimits store_;
  std::vector<std::unique_ptr<RunLock>> locks_;  ///< on the root
  bool is_unlocked_ = false;                     ///< the user was told
  std::uint64_t data_hash_;
  CheckpointClock clock_;
};

}  // namespace fedselect
