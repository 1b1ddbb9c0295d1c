#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "app/commands.hpp"
#include "app/text.hpp"
#include "base/error.hpp"
#include "io/stored_models.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string run;
  std::string output;
  bool global = false;
  std::optional<std::int64_t> client;
  std::optional<std::int64_t> mask;
  std::optional<int> round;
};

/// Refuses a place that can't be written before anything is read.
void require_free(const fs::path& output) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(output, error)))
    throw InputError(fmt::format(
        "{}: is there already (nothing is overwritten): choose another --output", output.string()));
  const fs::path folder = output.has_parent_path() ? output.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error))
    throw InputError(
        fmt::format("{}: is no folder: make it, or choose another --output", folder.string()));
}

std::vector<StoredTensor> read_tensors(const ExportOptions& options) {
  if (options.round) return kept_global_model(options.run, *options.round);
  const StoredModels models(options.run);
  if (options.client) return models.client_model(*options.client);
  if (options.mask) return models.mask(*options.mask);
  return models.global_model();
}

void export_model(const ExportOptions& options) {
  require_free(options.output);
  const auto tensors = read_tensors(options);
  std::vector<TensorView> views;
  std::int64_t bytes = 0;
  for (const StoredTensor& tensor : tensors) {
    views.push_back(tensor.view());
    bytes += static_cast<std::int64_t>(tensor.bytes.size());
  }
  write_safetensors(options.output, std::move(views));
  fmt::print("{}: {} tensors, {}\n", options.output, tensors.size(), describe_bytes(bytes));
}

}  // namespace

void add_export_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("export", "write a run's model or mask as a safetensors file");
  auto options = std::make_shared<ExportOptions>();
  command->add_option("RUN", options->run, "the run's folder, which holds result.h5")->required();
  auto* what = command->add_option_group("What", "one of these");
  auto* global =
      what->add_flag("--global", options->global, "the global model after the last round");
  what->add_option("--client", options->client,
                   "the model that client K would deploy after the last round; needs a run with "
                   "output.client_models = true")
      ->type_name("K");
  what->add_option("--mask", options->mask, "client K's final mask: 1 = personal, 0 = shared")
      ->type_name("K");
  what->require_option(1);
  command
      ->add_option("--round", options->round,
                   "with --global: the model after so many rounds, which the run kept "
                   "(checkpoint.keep_every; fedselect history lists them)")
      ->type_name("ROUNDS")
      ->check(CLI::Range(1, 2147483647))
      ->needs(global);
  command->add_option("--output", options->output, "the file to write; must not exist")
      ->type_name("FILE")
      ->required();
  command->footer(
      R"(Tensors have PyTorch's names and layout: float32 for models, with 0 for num_batches_tracked of norm
layers; uint8 for masks. Clients count from 0.

Examples:
  fedselect run configs/quickstart.toml --set output.client_models=true --name kept
  fedselect export runs/kept --global --output global.safetensors
  fedselect export runs/kept --client 3 --output client3.safetensors
  fedselect run configs/quickstart.toml --set model.initial=global.safetensors --name longer

In Python:
  model.load_state_dict(safetensors.torch.load_file("client3.safetensors")))");
  command->callback([&request, options] { request.alone = [options] { export_model(*options); }; });
}

}  // namespace fedselect
