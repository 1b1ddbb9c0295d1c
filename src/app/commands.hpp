#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace fedselect {

/// What a command line asks for; exactly one of the functions is set once it is parsed.
struct Request {
  std::vector<std::string> words;               ///< the command line itself
  std::function<void()> alone;                  ///< needs one process
  std::function<void(Communicator&)> together;  ///< needs all ranks of the job (collective)
  WatchLimits limits;                           ///< how long its ranks may be quiet
};

// Each declares a sub-command; when the command line names it, it leaves its work in `request`.
void add_run_command(CLI::App& app, Request& request);
void add_sweep_command(CLI::App& app, Request& request);
void add_scaling_command(CLI::App& app, Request& request);
void add_check_command(CLI::App& app, Request& request);
void add_estimate_command(CLI::App& app, Request& request);
void add_methods_command(CLI::App& app, Request& request);
void add_data_command(CLI::App& app, Request& request);
void add_export_command(CLI::App& app, Request& request);
void add_verify_command(CLI::App& app, Request& request);
void add_history_command(CLI::App& app, Request& request);

}  // namespace fedselect
