#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "app/commands.hpp"
#include "app/text.hpp"
#include "base/error.hpp"
#include "io/audit_log.hpp"
#include "io/config.hpp"
#include "io/run_folder.hpp"
#include "io/verify_run.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// The runs of a folder.
struct Runs {
  std::vector<fs::path> begun;
  std::vector<fs::path> waiting;  ///< methods of an experiment that is still at those before them
};

/// The folder itself, or those of the methods that experiment.toml names, whether they are there or
/// not.
Runs runs_in(const fs::path& folder) {
  using run_folder::State;
  std::error_code error;
  const fs::path experiment = folder / run_folder::kExperiment;
  if (!fs::exists(experiment, error)) return {{folder}, {}};
  Runs runs;
  for (const MethodConfig& method : read_config(experiment.string(), {}).methods)
    runs.begun.push_back(folder / method.label);
  const auto last_waits = [&] {
    const std::size_t n = runs.begun.size();
    return n > 1 && run_folder::state_of(runs.begun[n - 1]) == State::unused &&
           run_folder::state_of(runs.begun[n - 2]) != State::finished;
  };
  for (; last_waits(); runs.begun.pop_back())
    runs.waiting.insert(runs.waiting.begin(), runs.begun.back());
  return runs;
}

/// Of what a log holds, for the terminal: printable, and without ends of lines.
std::string one_line(std::string text) {
  text = printable(std::move(text));
  std::replace(text.begin(), text.end(), '\n', '?');
  return text;
}

void print_waiting(const Runs& runs) {
  for (const fs::path& run : runs.waiting) fmt::print("{}\n  has not begun\n", run.string());
}

void verify(const fs::path& folder, const std::string& head) {
  const Runs runs = runs_in(folder);
  if (!head.empty() && runs.begun.size() + runs.waiting.size() > 1)
    throw InputError(fmt::format(
        "{}: holds several runs, and a head is of one: name the folder of that one, such as {}",
        folder.string(), runs.begun.front().string()));
  for (const fs::path& run : runs.begun) {
    fmt::print("{}\n", run.string());
    for (const std::string& sentence : verify_run(run, head))
      fmt::print("  {}\n", one_line(sentence));
  }
  print_waiting(runs);
}

std::string describe(const AuditEntry& entry, const fs::path& run) {
  if (entry.what == "keep") {
    std::error_code error;
    const bool is_there = is_version_name(entry.file) && fs::exists(run / entry.file, error);
    return entry.file + (is_there ? "" : " (no longer there)");
  }
  if (entry.what == "resume")
    return fmt::format("goes on after round {}{}", entry.rounds,
                       entry.device ? ", on " + *entry.device : "");
  if (entry.what == "finish") return fmt::format("result.h5 {:.12}", entry.finished.result);
  return fmt::format("model {:.12}, {}, masks changed: {}", entry.model,
                     describe_bytes(entry.bytes), entry.masks.size());
}

void print_history(const fs::path& folder) {
  const Runs runs = runs_in(folder);
  for (const fs::path& run : runs.begun) {
    const auto entries = read_audit_log(run / run_folder::kAudit);
    fmt::print("{}\n  {:>7}  {:20}  {:7}\n", run.string(), "rounds", "time", "what");
    for (const AuditEntry& entry : entries)
      if (entry.what != "checkpoint")  // each takes the place of the one before
        fmt::print("{}\n", one_line(fmt::format("  {:7}  {:20}  {:7}  {}", entry.rounds, entry.time,
                                                entry.what, describe(entry, run))));
  }
  print_waiting(runs);
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
