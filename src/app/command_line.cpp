#include "app/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "app/failure.hpp"
#include "app/launcher.hpp"
#include "app/version.hpp"
#include "io/config_problems.hpp"

namespace fedselect {

namespace {

constexpr const char* kFooter = R"(Examples:
  fedselect check configs/quickstart.toml
  fedselect estimate configs/quickstart.toml
  fedselect run configs/quickstart.toml
  mpirun -n 4 fedselect run configs/quickstart.toml --set rounds=50 --name longer
  srun fedselect run configs/quickstart.toml --set method.rate=0.25
  fedselect methods fedselect

Exit codes:
  0  done
  1  the machine or the program failed
  2  config, data or command line is wrong
  75 stopped by a signal; the same command goes on with --continue or --resume

Environment:
  OMPI_COMM_WORLD_RANK, PMIX_RANK, PMI_RANK, SLURM_PROCID
     set by mpirun and srun; only the first rank prints

"fedselect COMMAND --help" tells more.)";

void say(const std::string& text) {
  if (launch().is_first) fmt::print("{}", text);
}

/// The message for a first word that is no command; empty if it is one, or an option.
std::string check_command_word(const CLI::App& app, std::string_view word) {
  if (word.starts_with('-')) return "";
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  const std::vector<std::string_view> views(names.begin(), names.end());
  if (std::find(views.begin(), views.end(), word) != views.end()) return "";
  const auto nearest = nearest_name(word, views);
  const std::string hint = nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
  return fmt::format("unknown command {}{} (there are {})", word, hint, fmt::join(names, ", "));
}

/// The command that the failed parse had got to, as the user would write it: "fedselect run".
std::string reached(const CLI::App& app) {
  std::string path = "fedselect";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  return path;
}

}  // namespace

int refuse(const std::string& message) {
  if (!launch().is_first) return kExitSuccess;
  say_failure(message);
  return kExitBadInput;
}

std::optional<int> parse_command_line(int argc, char** argv, Request& request) {
  request.words.assign(argv, argv + argc);
  CLI::App app("Simulates personalised federated learning on one machine or many.", "fedselect");
  app.add_flag_callback(
      "--version", [&] { request.alone = print_version; },
      "version of the program, compiler, libraries and device");
  add_run_command(app, request);
  add_sweep_command(app, request);
  add_scaling_command(app, request);
  add_check_command(app, request);
  add_estimate_command(app, request);
  add_methods_command(app, request);
  add_data_command(app, request);
  add_export_command(app, request);
  add_verify_command(app, request);
  add_history_command(app, request);
  app.footer(kFooter);  // last: sub-commands inherit what is there when they are added

  if (argc < 2) {
    say(app.help());
    return kExitBadInput;
  }
  if (const std::string wrong = check_command_word(app, argv[1]); !wrong.empty())
    return refuse(wrong);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    say(app.help());
    return kExitSuccess;
  } catch (const CLI::ParseError& error) {
    return refuse(fmt::format("{}; see {} --help", error.what(), reached(app)));
  }
  if (!request.alone && !request.together) return refuse("no command; see fedselect --help");
  return std::nullopt;
}

}  // namespace fedselect
