#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "app/commands.hpp"
#include "app/text.hpp"
#include "io/audit_log.hpp"
#include "io/run_folder.hpp"
#include "io/verify_run.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// The folder itself, or those of its methods.
std::vector<fs::path> runs_in(const fs::path& folder) {
  std::error_code error;
  std::set<fs::path> runs;
  if (!fs::exists(folder / run_folder::kAudit, error))
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (fs::exists(entry.path() / run_folder::kAudit, error)) runs.insert(entry.path());
  if (runs.empty()) runs.insert(folder);
  return {runs.begin(), runs.end()};
}

void verify(const fs::path& folder, const std::string& head) {
  for (const fs::path& run : runs_in(folder)) {
    fmt::print("{}\n", run.string());
    for (const std::string& sentence : verify_run(run, head)) fmt::print("  {}\n", sentence);
  }
}

/// Whether the file that an entry tells of is still there.
bool is_there(const fs::path& run, const std::string& file) {
  std::error_code error;
  return fs::exists(run / file, error);
}

std::string describe(const AuditEntry& entry, const fs::path& run) {
  if (entry.what == "keep")
    return entry.file + (is_there(run, entry.file) ? "" : " (no longer there)");
  if (entry.what == "resume") return fmt::format("goes on after round {}", entry.rounds);
  if (entry.what == "finish") return fmt::format("result.h5 {:.12}", entry.result);
  return fmt::format("model {:.12}, {}, masks changed: {}", entry.model,
                     describe_bytes(entry.bytes), entry.masks.size());
}

void print_history(const fs::path& folder) {
  for (const fs::path& run : runs_in(folder)) {
    const auto entries = read_audit_log(run / run_folder::kAudit);
    fmt::print("{}\n  {:>7}  {:20}  {:7}\n", run.string(), "rounds", "time", "what");
    for (const AuditEntry& entry : entries)
      fmt::print("  {:7}  {:20}  {:7}  {}\n", entry.rounds, entry.time, entry.what,
                 describe(entry, run));
  }
}

}  // namespace

void add_verify_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand(
      "verify", "prove that a run's result, checkpoints and log belong together");
  auto folder = std::make_shared<std::string>();
  auto head = std::make_shared<std::string>();
  command->add_option("RUN", *folder, "a run's folder, or one that holds those of several methods")
      ->required();
  command
      ->add_option("--head", *head,
                   "the head of the log as it was noted elsewhere (log.txt's last lines, or what "
                   "verify printed)")
      ->type_name("SHA256");
  command->footer(
      R"(Exit code 0: all is as the log says. Exit code 2: the first contradiction is told.

Examples:
  fedselect verify runs/quickstart
  fedselect verify runs/quickstart/fedselect --head 5f1c...)");
  command->callback(
      [&request, folder, head] { request.alone = [folder, head] { verify(*folder, *head); }; });
}

void add_history_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("history", "list the versions of a run's global model");
  auto folder = std::make_shared<std::string>();
  command->add_option("RUN", *folder, "a run's folder, or one that holds those of several methods")
      ->required();
  command->footer(
      R"(A run keeps every N-th version with checkpoint.keep_every = N. Such a one can be exported,
  fedselect export RUN --global --round ROUNDS --output FILE
and gone back to,
  fedselect run --resume RUN --from-round ROUNDS)");
  command->callback([&request, folder] { request.alone = [folder] { print_history(*folder); }; });
}

}  // namespace fedselect
