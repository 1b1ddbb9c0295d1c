#include "io/run_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <system_error>

#include "base/error.hpp"
#include "files/atomic_file.hpp"
#include "files/raw_file.hpp"
#include "files/regular_file.hpp"

namespace fedselect::run_folder {

namespace {

namespace fs = std::filesystem;

/// Whether nothing is there but perhaps a lock.
bool is_unused(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  return std::all_of(begin(entries), end(entries),
                     [](const auto& entry) { return entry.path().filename() == kLock; });
}

}  // namespace

bool holds(const fs::path& folder, const char* name) {
  std::error_code error;
  const bool is_there = fs::exists(folder / name, error);
  if (error)
    throw SystemError(fmt::format("{}: cannot look whether it is there ({})",
                                  (folder / name).string(), error.message()));
  return is_there;
}

bool has_checkpoint(const fs::path& folder) {
  return holds(folder, kCheckpoint) || holds(folder, kPreviousCheckpoint);
}

State state_of(const fs::path& folder) {
  if (holds(folder, kResult)) return State::finished;
  if (has_checkpoint(folder)) return State::interrupted;
  return is_unused(folder) ? State::unused : State::begun;
}

void require_unused(const fs::path& folder) {
  if (is_unused(folder)) return;
  throw InputError(fmt::format(
      "{}: holds a run already (nothing is overwritten): go on with it by --resume, remove the "
      "folder, or choose another name with --name or another place with --out",
      folder.string()));
}

void require_no_links(const fs::path& home, const fs::path& folder) {
  const auto require_no_link = [](const fs::path& path) {
    std::error_code error;
    if (fs::is_symlink(path, error))
      throw InputError(fmt::format(
          "{}: is a link, and a run writes into its own folder only: put what it leads to in its "
          "place, or remove it",
          path.string()));
  };
  if (folder != home) require_no_link(folder);
  for (const fs::path& within : {home, folder})
    for (const char* name :
         {kResult, kPreviousResult, kConfig, kExperiment, kManifest, kMetrics, kLog, kLock, kAudit,
          kVersions, kJournal, kCheckpoint, kPreviousCheckpoint, kDamagedCheckpoint})
      for (const char* ending : {"", ".partial"}) {
        const fs::path path = within / (std::string(name) + ending);
        require_no_link(path);
        // The one is a folder, and RunLock looks for itself.
        if (std::string_view(name) != kVersions && std::string_view(name) != kLock)
          require_regular_file(path);
      }
}

void require_layout(const fs::path& home, std::size_t methods) {
  const bool is_of_several = methods > 1;
  if (!holds(home, is_of_several ? kConfig : kExperiment)) return;
  throw InputError(fmt::format(
      "{}: holds a run of {}, and the config has {}: name another folder, or the run's own config",
      home.string(), is_of_several ? "one method" : "several methods", methods));
}

void create(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw InputError(fmt::format("{}: cannot make this folder ({}): choose another one with --out",
                                 folder.string(), error.message()));
}

namespace {

/// With what a killed program left of it beside it.
void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
  fs::path partial = path;
  fs::remove(partial += ".partial", ignored);
}

}  // namespace

void clear(const fs::path& folder) {
  constexpr std::array kBegun{kConfig, kManifest, kMetrics, kJournal,
                              kAudit,  kLog,      kResult,  kCheckpoint};
  constexpr std::string_view kPartial = ".partial";
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(kPartial)) name.resize(name.size() - kPartial.size());
    require(
        name == kLock || std::find(kBegun.begin(), kBegun.end(), name) != kBegun.end(),
        fmt::format("{}: is not of a run that has begun, and nothing is overwritten: remove it, "
                    "or name another folder",
                    entry.path().string()));
  }
  for (const char* name : kBegun) remove_file(folder / name);
}

void remove_checkpoints(const fs::path& folder) {
  for (const char* name : {kCheckpoint, kPreviousCheckpoint, kDamagedCheckpoint})
    remove_file(folder / name);
}

void tidy(const fs::path& folder) {
  remove_checkpoints(folder);
  if (!holds(folder, kVersions)) remove_file(folder / kJournal);
}

std::string version_name(int rounds) { return fmt::format("{}/round-{}.h5", kVersions, rounds); }

namespace {

/// A file in the place `to`, which `make` makes beside it.
void put(const fs::path& to, const std::function<void(const fs::path&, std::error_code&)>& make) {
  std::error_code error;
  fs::path partial = to;
  partial += ".partial";
  fs::remove(partial, error);
  make(partial, error);
  if (error)
    throw SystemError(fmt::format("{}: cannot make it ({}): is the disk full, or gone?",
                                  partial.string(), error.message()));
  rename_file(partial, to);
}

void copy_whole(const fs::path& from, const fs::path& to, std::error_code& error) {
  if (fs::copy_file(from, to, error)) RawFile(to, RawFile::Mode::read).sync();
}

/// A second name for a file that nobody changes any more: a link, or a copy where links can't be
/// made. Takes the place of an old file at once.
void name_again(const fs::path& from, const fs::path& to) {
  put(to, [&](const fs::path& partial, std::error_code& error) {
    fs::create_hard_link(from, partial, error);
    if (error) copy_whole(from, partial, error);
  });
}

}  // namespace

std::string keep_version(const fs::path& folder, int rounds) {
  std::error_code error;
  const bool is_new = fs::create_directories(folder / kVersions, error);
  if (is_new) sync_folder(folder);
  if (error)
    throw SystemError(fmt::format("{}: cannot make this folder ({}): is the disk full, or gone?",
                                  (folder / kVersions).string(), error.message()));
  std::string name = version_name(rounds);
  name_again(folder / kCheckpoint, folder / name);
  return name;
}

fs::path find_version(const fs::path& folder, int rounds) {
  fs::path version = folder / version_name(rounds);
  std::error_code error;
  if (!fs::is_regular_file(version, error))
    throw InputError(
        fmt::format("{}: is not there: see fedselect history {} for the versions that were kept "
                    "(checkpoint.keep_every)",
                    version.string(), folder.string()));
  return version;
}

namespace {

/// "versions/WHAT-before-20.h5", with a number behind it where there is one already: those of
/// earlier ways back to this round stay.
fs::path name_before(const fs::path& folder, const char* what, int rounds, const char* ending) {
  std::string name = fmt::format("{}-before-{}{}", what, rounds, ending);
  for (int again = 2; holds(folder / kVersions, name.c_str()); ++again)
    name = fmt::format("{}-before-{}-{}{}", what, rounds, again, ending);
  return folder / kVersions / name;
}

}  // namespace

std::vector<fs::path> find_journals(const fs::path& folder) {
  std::vector<fs::path> journals;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / kVersions, error))
    if (const std::string name = entry.path().filename().string();
        name.starts_with("journal-before-") && name.ends_with(".bin") &&
        fs::is_regular_file(entry.symlink_status(error)))
      journals.push_back(entry.path());
  std::sort(journals.begin(), journals.end());
  journals.insert(journals.begin(), folder / kJournal);
  return journals;
}

void keep_journal(const fs::path& folder, int rounds) {
  put(name_before(folder, "journal", rounds, ".bin"),
      [&](const fs::path& partial, std::error_code& error) {
        copy_whole(folder / kJournal, partial, error);
      });
}

void take_journal(const fs::path& folder, const fs::path& journal) {
  put(folder / kJournal, [&](const fs::path& partial, std::error_code& error) {
    copy_whole(journal, partial, error);
  });
}

void roll_back(const fs::path& folder, int rounds) {
  const fs::path version = find_version(folder, rounds);
  name_again(version, folder / kCheckpoint);
  remove_file(folder / kPreviousCheckpoint);
  if (holds(folder, kResult))
    rename_file(folder / kResult, name_before(folder, "result", rounds, ".h5"));
}

fs::path find_config(const fs::path& folder) {
  for (const char* name : {kExperiment, kConfig})
    if (holds(folder, name)) return folder / name;
  throw InputError(
      fmt::format("{}: holds no run to go on with (neither {} nor {}): name the folder that a run "
                  "was made in, OUT/NAME",
                  folder.string(), kExperiment, kConfig));
}

}  // namespace fedselect::run_folder
