// What a folder must hold for its run to go on. All of it is looked at before anything is changed.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "app/runner.hpp"
#include "files/regular_file.hpp"
#include "io/config_changes.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using run_folder::State;

std::string read_text(const fs::path& path) {
  std::ostringstream text;
  text << open_regular_file(path).rdbuf();
  return text.str();
}

/// Of the newest checkpoint that is whole, as far as header and journal tell. Throws InputError if
/// there is none.
CheckpointHeader find_header(const fs::path& folder, const JournalBounds& bounds) {
  std::vector<std::string> damages;
  for (const char* name : {run_folder::kCheckpoint, run_folder::kPreviousCheckpoint}) {
    if (!run_folder::holds(folder, name)) continue;
    try {
      return read_header(folder, folder / name, bounds);
    } catch (const InputError& damage) {
      damages.emplace_back(damage.what());
    }
  }
  throw InputError(fmt::format("{}", fmt::join(damages, "\n")));
}

}  // namespace

/// What is to be done with a method's folder. Throws InputError if it is finished, and can't go on
/// with this config.
State Runner::find_state(std::size_t index) const {
  const fs::path& folder = folders_[index];
  if (setup_.from_round) return State::interrupted;
  const State found = setup_.resumes ? run_folder::state_of(folder) : State::unused;
  if (found != State::finished) return found;
  const auto stored = read_text(folder / run_folder::kConfig);
  if (compare_configs(stored, write_config(config_, index)).empty()) return found;
  if (!run_folder::has_checkpoint(folder))
    throw InputError(fmt::format(
        "{}: this run is finished and kept no checkpoint, so it can't go on with another "
        "config: start a new run (with checkpoint.at_end = true it can get more rounds)",
        folder.string()));
  return State::interrupted;
}

/// Throws InputError if a method can't go on with this config, these data, and what its folder
/// holds.
void Runner::require_resumable_run(std::size_t index) const {
  const fs::path& folder = folders_[index];
  const State state = find_state(index);
  if (std::error_code error;
      state == State::begun && fs::exists(folder / run_folder::kConfig, error))
    accept(index, read_text(folder / run_folder::kConfig), 0);
  if (state != State::interrupted) return;
  const CheckpointHeader header =
      setup_.from_round
          ? read_header(folder, run_folder::find_version(folder, *setup_.from_round), bounds())
          : find_header(folder, bounds());
  if (setup_.from_round)
    require_rounds(run_folder::find_version(folder, *setup_.from_round), header,
                   *setup_.from_round);
  accept(index, header);
  require_logged(folder, header.audit);
}

JournalBounds Runner::bounds() const {
  return {experiment_.partition.clients(), experiment_.network.layout().tensors().size()};
}

/// `stored`: the config of a run that began so many rounds.
void Runner::accept(std::size_t index, const std::string& stored, int rounds) const {
  require_resumable(stored, write_config(config_, index), rounds, setup_.allowed_changes,
                    folders_[index].string());
}

void Runner::accept(std::size_t index, const CheckpointHeader& header) const {
  accept(index, header.config, header.rounds + (header.round_is_open ? 1 : 0));
  if (header.data_hash != data_hash_)
    throw InputError(fmt::format(
        "{}: the samples, who has which, or what the files of model.initial and faults.unavailable "
        "hold, are not those of this run: put the files back that it was made with, or start it "
        "again elsewhere",
        folders_[index].string()));
}

}  // namespace fedselect
