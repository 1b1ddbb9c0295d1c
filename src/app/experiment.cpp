#include "app/experiment.hpp"

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <optional>
#include <span>

#include "app/failure.hpp"
#include "base/hash.hpp"
#include "data/fingerprint.hpp"

namespace fedselect {

void add_config_options(CLI::App& command, ConfigSource& source) {
  command.add_option("CONFIG", source.path, "the experiment, a TOML file")->required();
  add_set_option(command, source.overrides);
}

void add_set_option(CLI::App& command, std::vector<std::string>& overrides) {
  command
      .add_option("--set", overrides,
                  "override a key: train.lr=0.1, method.rate=0.25 (all methods that have it), "
                  "method.LABEL.rate=0.25; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Config load_config(const ConfigSource& source, Communicator& comm) {
  Config config;
  together(comm, [&] { config = read_config(source.path, source.overrides); });
  if (!source.method.empty())
    std::erase_if(config.methods,
                  [&](const MethodConfig& method) { return method.label != source.method; });
  return config;
}

namespace {

/// together(), where a KeyError gets the place of its key.
void together_at(const Config& config, Communicator& comm, const std::function<void()>& action) {
  together(comm, [&] {
    try {
      action();
    } catch (const KeyError& error) {
      throw InputError(config.locate(error));
    }
  });
}

void check_new_clients(const Config& config) {
  if (config.federation.new_clients < config.data.clients) return;
  throw KeyError("federation.new_clients",
                 fmt::format("federation.new_clients = {}: of {} clients at least one has to take "
                             "part: lower it, or set more data.clients",
                             config.federation.new_clients, config.data.clients));
}

/// The root's model arrives on all ranks; its note is the root's alone.
void broadcast(InitialModel& model, const ParameterLayout& layout, Communicator& comm) {
  const auto own = std::as_bytes(std::span<const float>(model.values));
  std::vector<std::byte> bytes(own.begin(), own.end());
  comm.broadcast(bytes, 0);
  model.values.resize(layout.padded_size());
  std::memcpy(model.values.data(), bytes.data(), bytes.size());
}

}  // namespace

ClientData load_client_data(const ConfigSource& source, Communicator& comm) {
  Config config = load_config(source, comm);
  const auto seed = static_cast<std::uint64_t>(config.seed);
  std::optional<Dataset> data;
  together_at(config, comm, [&] { data = load_dataset(config.data, comm); });
  std::optional<Partition> partition;
  together_at(config, comm, [&] {
    partition = make_partition(config.data, seed, *data, comm);
    config.data.clients = static_cast<std::int64_t>(partition->clients());
    check_new_clients(config);
    shift_samples(*data, *partition, config.data, seed, comm);
  });
  return {std::move(config), std::move(*data), std::move(*partition)};
}

Experiment load_experiment(const ConfigSource& source, Communicator& comm) {
  auto [config, data, partition] = load_client_data(source, comm);
  std::optional<Network> network;
  together_at(config, comm, [&, &config = config, &data = data] {
    network.emplace(config.model, data.image, data.classes);
    for (const MethodConfig& method : config.methods) method.algorithm->prepare(network->layout());
  });
  InitialModel initial;
  together_at(config, comm, [&, &config = config] {
    if (comm.is_root())
      initial = read_initial_model(config.model, *network, static_cast<std::uint64_t>(config.seed));
  });
  broadcast(initial, network->layout(), comm);
  Absences absences;
  together_at(config, comm, [&, &config = config] {
    if (comm.is_root())
      absences = read_absences(config.faults.unavailable, static_cast<int>(config.data.clients));
  });
  absences.all = gather_on_all(comm, absences.all);
  return {std::move(config),   std::move(data),    std::move(partition),
          std::move(*network), std::move(initial), std::move(absences)};
}

std::uint64_t fingerprint(const Experiment& experiment, Communicator& comm) {
  const std::uint64_t data = fingerprint(experiment.data, experiment.partition, comm);
  const Config& config = experiment.config;
  if (config.model.initial.empty() && config.faults.unavailable.empty()) return data;
  Hash hash;
  hash.add_value(data);
  if (!config.model.initial.empty()) hash.add(std::span<const float>(experiment.initial.values));
  if (!config.faults.unavailable.empty())
    hash.add(std::span<const Absences::Absence>(experiment.absences.all));
  return hash.value();
}

}  // namespace fedselect
