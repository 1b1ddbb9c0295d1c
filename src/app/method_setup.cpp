#include "app/method_setup.hpp"

#include <utility>

namespace fedselect {

SimulationSetup setup_of(const Experiment& experiment, const MethodConfig& method) {
  const Config& config = experiment.config;
  return {.seed = static_cast<std::uint64_t>(config.seed),
          .rounds = static_cast<int>(config.rounds),
          .train = config.train,
          .server = config.server,
          .federation = config.federation,
          .faults = config.faults,
          .absences = experiment.absences,
          .evaluate = config.evaluate,
          .passes = passes_of(method, config.train),
          .initial = experiment.initial.values};
}

RunDescription describe_run(const Config& config, std::size_t index, std::string manifest) {
  const MethodConfig& method = config.methods[index];
  const auto tested_on = static_cast<std::size_t>(method.algorithm->tested_on());
  return {.name = config.name,
          .label = method.label,
          .method = method.name,
          .config = write_config(config, index),
          .manifest = std::move(manifest),
          .seed = config.seed,
          .tested_on = kTestedOnNames[tested_on],
          .masks = config.output.masks,
          .client_models = config.output.client_models,
          .cross = config.evaluate.cross,
          .target = config.evaluate.target};
}

}  // namespace fedselect
