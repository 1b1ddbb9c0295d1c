#include <fmt/format.h>

#include <memory>
#include <optional>

#include "app/commands.hpp"
#include "app/experiment.hpp"
#include "app/failure.hpp"

namespace fedselect {

namespace {

struct DataOptions {
  ConfigSource source;
  std::string path;  ///< empty: the config's
};

void print_data_info(const DataOptions& options, Communicator& comm) {
  DataConfig config;
  if (!options.source.path.empty()) config = load_config(options.source, comm).data;
  if (!options.path.empty()) config.path = options.path;
  std::optional<Dataset> data;
  together(comm, [&] { data = load_dataset(config, comm); });
  if (comm.is_root()) fmt::print("{}", describe_dataset(*data));
}

}  // namespace

void add_data_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("data", "look at data sets");
  command->require_subcommand(1);
  auto* info = command->add_subcommand("info", "what a data set holds");
  auto options = std::make_shared<DataOptions>();
  info->add_option("CONFIG", options->source.path, "a config whose data set it is");
  info->add_option("--path", options->path, "folder of the four IDX files")->type_name("DIR");
  info->footer("Without CONFIG and --path: the data set that a config names by default.");
  info->callback([&request, options] {
    request.together = [options](Communicator& comm) { print_data_info(*options, comm); };
  });
}

}  // namespace fedselect
