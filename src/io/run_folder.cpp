#include "io/run_folder.hpp"

#include <fmt/format.h>

#include <system_error>

#include "base/error.hpp"

namespace fedselect::run_folder {

namespace {

namespace fs = std::filesystem;

bool holds(const fs::path& folder, const char* name) {
  std::error_code error;
  return fs::exists(folder / name, error);
}

bool is_unused(const fs::path& folder) {
  std::error_code error;
  return !fs::is_directory(folder, error) || fs::is_empty(folder, error);
}

}  // namespace

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
  for (const char* name : {kConfig, kManifest, kMetrics, kJournal, kLog, kResult, kCheckpoint})
    remove_file(folder / name);
}

void remove_checkpoints(const fs::path& folder) {
  for (const char* name : {kCheckpoint, kPreviousCheckpoint}) remove_file(folder / name);
}

void tidy(const fs::path& folder) {
  remove_checkpoints(folder);
  remove_file(folder / kJournal);
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
