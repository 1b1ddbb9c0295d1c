#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fedselect {

/// Whether what a run's folder holds belongs together: that no line of audit.jsonl was altered or
/// removed; that config.toml, result.h5 and metrics.csv are what the log says; and that model and
/// masks of result.h5, of every checkpoint and of every kept version are those that the log has of
/// their rounds. Returns what was found true, a sentence an item, the head of the log last. Throws
/// InputError at the first contradiction.
///
/// `head`: the log's head as somebody noted it elsewhere; empty: not known. Without it a log that
/// was written anew as a whole can't be told from the first one.
std::vector<std::string> verify_run(const std::filesystem::path& run, const std::string& head);

}  // namespace fedselect
