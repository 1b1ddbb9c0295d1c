#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// The folder of a run: what stands in it, and how far the run got.
namespace fedselect::run_folder {

inline constexpr const char* kResult = "result.h5";
/// That of a run which got more rounds, until it has the new one.
inline constexpr const char* kPreviousResult = "result.previous.h5";
inline constexpr const char* kConfig = "config.toml";
/// Beside the folders of several methods: the config of all of them.
inline constexpr const char* kExperiment = "experiment.toml";
inline constexpr const char* kManifest = "manifest.json";
inline constexpr const char* kMetrics = "metrics.csv";
inline constexpr const char* kLog = "log.txt";
inline constexpr const char* kAudit = "audit.jsonl";
inline constexpr const char* kVersions = "versions";
inline constexpr const char* kLock = "lock";  ///< while a program is at work (RunLock)
inline constexpr const char* kJournal = "journal.bin";
inline constexpr const char* kCheckpoint = "checkpoint.h5";
inline constexpr const char* kPreviousCheckpoint = "checkpoint.previous.h5";
/// One that could not be read, until the run is done.
inline constexpr const char* kDamagedCheckpoint = "checkpoint.damaged.h5";

enum class State {
  unused,       ///< is not there, or empty
  begun,        ///< a run that wrote no checkpoint
  interrupted,  ///< a run that can go on from a checkpoint
  finished,     ///< has a result; it can go on too if it kept a checkpoint
};

/// Whether a file is there. Throws SystemError where the file system doesn't say.
bool holds(const std::filesystem::path& folder, const char* name);
State state_of(const std::filesystem::path& folder);
bool has_checkpoint(const std::filesystem::path& folder);

/// Throws InputError if the folder exists and holds anything but a lock.
void require_unused(const std::filesystem::path& folder);

/// Throws InputError if the folder holds one run, but an experiment of so many methods goes on
/// there, or the other way round.
void require_layout(const std::filesystem::path& home, std::size_t methods);

/// Throws InputError if a run would write through a link to another place: if one stands where a
/// file of a run goes, or `folder`, which lies in `home`, is one itself. `home` may be: the user
/// named it. So may nothing else that is no regular file stand there: a pipe would never answer.
void require_no_links(const std::filesystem::path& home, const std::filesystem::path& folder);

/// Makes the folder and those on the way to it. Throws InputError if it can't be made.
void create(const std::filesystem::path& folder);
/// Removes what a run without a checkpoint left behind. Throws InputError, and removes nothing, if
/// anything else stands there.
void clear(const std::filesystem::path& folder);
void remove_checkpoints(const std::filesystem::path& folder);
/// Removes what only a run that goes on has a use for, unless it kept versions to go back to.
void tidy(const std::filesystem::path& folder);

/// The checkpoint that was kept of a round's end, "versions/round-20.h5" for 20 complete rounds,
/// within the run's folder.
std::string version_name(int rounds);
/// Gives checkpoint.h5 that name as well and returns it. Throws SystemError.
std::string keep_version(const std::filesystem::path& folder, int rounds);
/// Where the version of so many rounds is kept. Throws InputError if it is not.
std::filesystem::path find_version(const std::filesystem::path& folder, int rounds);
/// journal.bin, which may not be there, and those that were kept.
std::vector<std::filesystem::path> find_journals(const std::filesystem::path& folder);
/// Before the run goes back to so many rounds: a copy of journal.bin becomes
/// versions/journal-before-ROUNDS.bin, or with a number behind it, for the versions of later
/// rounds. Throws SystemError.
void keep_journal(const std::filesystem::path& folder, int rounds);
/// A copy of a kept journal takes the place of journal.bin. Throws SystemError.
void take_journal(const std::filesystem::path& folder, const std::filesystem::path& journal);
/// Makes a kept version the newest checkpoint. What came after it is no longer there, but for
/// result.h5, which becomes versions/result-before-ROUNDS.h5, or ...-ROUNDS-2.h5 and so on where
/// there is one already. Throws InputError if the version was not kept, or SystemError.
void roll_back(const std::filesystem::path& folder, int rounds);

/// The config of the run, or of the runs, in a folder. Throws InputError if there is none.
std::filesystem::path find_config(const std::filesystem::path& folder);

}  // namespace fedselect::run_folder
