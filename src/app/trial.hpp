#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/experiment.hpp"
#include "app/rank_device.hpp"
#include "app/store_limits.hpp"
#include "sweep/record.hpp"
#include "sweep/schedule.hpp"

namespace fedselect {

/// How the trials of a sweep are run.
struct TrialSetup {
  const sweep::SweepConfig& sweep;
  const sweep::Plan& plan;
  std::filesystem::path folder;  ///< holds one for each trial
  std::vector<std::string> command;
  DeviceOptions device;
  StoreOptions store;
};

/// The experiment of one trial.
ConfigSource source_of(const sweep::SweepConfig& sweep, const sweep::Plan& plan, std::size_t trial);

/// Collective over the ranks of a worker: runs a trial, from where it is, until the task's rounds
/// are complete, in a folder of its own. On the root, what became of it: a trial that fails on all
/// ranks alike, or in training on any, is a failed one. Anything else is thrown.
sweep::Record run_trial(const TrialSetup& setup, const sweep::Task& task, Communicator& worker);

/// When the run in this folder last wrote a checkpoint, as Record::time; empty: never, or its
/// audit.jsonl can't be read.
std::string time_of_checkpoint(const std::filesystem::path& folder);

}  // namespace fedselect
