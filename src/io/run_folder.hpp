#pragma once

#include <filesystem>

/// The folder of a run: what stands in it, and how far the run got.
namespace fedselect::run_folder {

inline constexpr const char* kResult = "result.h5";
inline constexpr const char* kConfig = "config.toml";
/// Beside the folders of several methods: the config of all of them.
inline constexpr const char* kExperiment = "experiment.toml";
inline constexpr const char* kManifest = "manifest.json";
inline constexpr const char* kMetrics = "metrics.csv";
inline constexpr const char* kLog = "log.txt";
inline constexpr const char* kJournal = "journal.bin";
inline constexpr const char* kCheckpoint = "checkpoint.h5";
inline constexpr const char* kPreviousCheckpoint = "checkpoint.previous.h5";

enum class State {
  unused,       ///< is not there, or empty
  begun,        ///< a run that wrote no checkpoint
  interrupted,  ///< a run that can go on from a checkpoint
  finished,     ///< has a result; it can go on too if it kept a checkpoint
};

State state_of(const std::filesystem::path& folder);
bool has_checkpoint(const std::filesystem::path& folder);

/// Throws InputError if the folder exists and holds anything.
void require_unused(const std::filesystem::path& folder);

/// Makes the folder and those on the way to it. Throws InputError if it can't be made.
void create(const std::filesystem::path& folder);
/// Removes what a run without a checkpoint left behind.
void clear(const std::filesystem::path& folder);
void remove_checkpoints(const std::filesystem::path& folder);
/// Removes what only a run that goes on has a use for.
void tidy(const std::filesystem::path& folder);

/// The config of the run, or of the runs, in a folder. Throws InputError if there is none.
std::filesystem::path find_config(const std::filesystem::path& folder);

}  // namespace fedselect::run_folder
