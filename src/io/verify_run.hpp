#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fedselect {

/// Whether what a run's folder holds belongs together: that no line of audit.jsonl was altered or
/// removed; that config.toml is what the log says, and of a finished run result.h5, metrics.csv,
/// manifest.json and journal.bin, where that is still there; that every checkpoint and every kept
/// version is one that the log tells of, to the last byte, under the right name; and that the model
/// and masks of all of them are those that the log has of their rounds. Returns what was found
/// true, a sentence an item, the head of the log last. Throws InputError at the first
/// contradiction.
///
/// `head`: the log's head as somebody noted it elsewhere; empty: not known. Without it a log that
/// was written anew as a whole can't be told from the first one.
///
/// Programs before 2026-11-26 logged neither the bytes of checkpoints nor those of manifest.json
/// and journal.bin: of what they wrote model and masks are compared alone.
std::vector<std::string> verify_run(const std::filesystem::path& run, const std::string& head);

/// "versions/round-20.h5" and the like: the only names of versions.
bool is_version_name(const std::string& name);

}  // namespace fedselect
