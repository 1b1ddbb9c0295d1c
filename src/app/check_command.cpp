#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "app/commands.hpp"
#include "app/experiment.hpp"
#include "app/text.hpp"
#include "fed/assignment.hpp"

namespace fedselect {

namespace {

std::string describe_split(const std::vector<Partition::Indices>& split) {
  std::vector<std::size_t> sizes;
  for (const auto& indices : split) sizes.push_back(indices.size());
  const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
  const auto total = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  return fmt::format("{} / {:.1f} / {}", *least,
                     static_cast<double>(total) / static_cast<double>(sizes.size()), *most);
}

void print_experiment(const Experiment& experiment) {
  const auto& [config, data, partition, network, initial, absences] = experiment;
  const auto line = [](std::string_view what, const std::string& text) {
    fmt::print("{:<11}{}\n", what, text);
  };
  const auto parameters = static_cast<std::int64_t>(network.layout().size());
  const std::int64_t model_bytes = parameters * static_cast<std::int64_t>(sizeof(float));
  const auto cohort = static_cast<std::int64_t>(draw_cohort(config.federation,
                                                            static_cast<std::uint64_t>(config.seed),
                                                            partition.clients(), 0)
                                                    .size());
  line("experiment",
       fmt::format("{}, {} rounds, seed {}", config.name, config.rounds, config.seed));
  line("data", fmt::format("{}, images {} x {} x {}, {} classes", data.name, data.image.height,
                           data.image.width, data.image.channels, data.classes));
  line("clients", fmt::format("{}, {} of them in a round", partition.clients(), cohort));
  line("samples", fmt::format("of a client, min / mean / max: training {}, test {}",
                              describe_split(partition.train), describe_split(partition.test)));
  line("model", fmt::format("{}, {} parameters, {}",
                            kModelNames[static_cast<std::size_t>(config.model.name)],
                            describe_count(parameters), describe_bytes(model_bytes)));
  if (!initial.note.empty()) line("", initial.note);
  line("a round",
       fmt::format("at most {} up and {} down (where nothing is personal)",
                   describe_bytes(cohort * model_bytes), describe_bytes(cohort * model_bytes)));
  for (std::size_t i = 0; i < config.methods.size(); ++i) {
    const MethodConfig& method = config.methods[i];
    const std::string name = method.label == method.name
                                 ? method.name
                                 : fmt::format("{} ({})", method.label, method.name);
    line(i == 0 ? "methods" : "",
         fmt::format("{}, {} passes", name, passes_of(method, config.train)));
    if (const auto caveat = method.algorithm->caveat(config.rounds); !caveat.empty())
      line("", "  warning: " + caveat);
  }
}

}  // namespace

void add_check_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand(
      "check", "validate a config, its data and partition, and say what would run");
  auto source = std::make_shared<ConfigSource>();
  add_config_options(*command, *source);
  command->footer([] {
    return "Writes nothing. Exit code 2 and all problems at once if something is wrong.\n\n"
           "Keys of a config, with their defaults; those of a [[method]]: fedselect methods "
           "NAME.\n" +
           describe_sections();
  });
  command->callback([&request, source] {
    request.together = [source](Communicator& comm) {
      const Experiment experiment = load_experiment(*source, comm);
      if (comm.is_root()) print_experiment(experiment);
    };
  });
}

}  // namespace fedselect
