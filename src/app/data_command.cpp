#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "app/commands.hpp"
#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "base/error.hpp"
#include "data/plain_layout.hpp"
#include "files/atomic_file.hpp"

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

struct ConvertOptions {
  ConfigSource source;
  std::string out;
};

void convert_data(const ConvertOptions& options, Communicator& comm) {
  const auto [config, data, partition] = load_client_data(options.source, comm);
  together(comm, [&, &data = data, &partition = partition] {
    if (!comm.is_root()) return;
    if (std::filesystem::exists(options.out))
      throw InputError(fmt::format(
          "{} exists (nothing is overwritten): remove it, or name another file", options.out));
    PartialFile file(options.out);
    write_plain_layout(file.path(), data, partition);
    file.commit();
    fmt::print("{} training and {} test samples of {} clients written to {}\n", data.train.size,
               data.test.size, partition.clients(), options.out);
  });
}

void add_info(CLI::App& data, Request& request) {
  auto* info = data.add_subcommand("info", "what a data set holds");
  auto options = std::make_shared<DataOptions>();
  info->add_option("CONFIG", options->source.path, "a config whose data set it is");
  info->add_option("--path", options->path, "folder or file of a data set")->type_name("PATH");
  info->footer("Without CONFIG and --path: the data set that a config names by default.");
  info->callback([&request, options] {
    request.together = [options](Communicator& comm) { print_data_info(*options, comm); };
  });
}

void add_convert(CLI::App& data, Request& request) {
  auto* convert = data.add_subcommand(
      "convert", "write what an experiment trains on, and who owns it, into one HDF5 file");
  auto options = std::make_shared<ConvertOptions>();
  add_config_options(*convert, options->source);
  convert->add_option("OUT", options->out, "the file, in the plain layout of docs/data.md")
      ->required();
  convert->callback([&request, options] {
    request.together = [options](Communicator& comm) { convert_data(*options, comm); };
  });
}

}  // namespace

void add_data_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("data", "look at data sets, or convert them");
  command->require_subcommand(1);
  add_info(*command, request);
  add_convert(*command, request);
}

}  // namespace fedselect
