#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "io/config.hpp"
#include "io/initial_model.hpp"
#include "model/network.hpp"

namespace fedselect {

/// Where a config comes from.
struct ConfigSource {
  std::string path;
  std::vector<std::string> overrides;
};

/// Declares CONFIG and --set.
void add_config_options(CLI::App& command, ConfigSource& source);

/// What the methods of an experiment have in common, ready to run.
struct Experiment {
  Config config;
  Dataset data;
  Partition partition;
  Network network;
  InitialModel initial;
};

/// Reads the config (collective). All ranks throw the same AgreedError if it is wrong for any of
/// them.
Config load_config(const ConfigSource& source, Communicator& comm);
/// Reads the config, loads its data, draws the partition, builds the network, reads the initial
/// model. Collective; errors
/// likewise.
Experiment load_experiment(const ConfigSource& source, Communicator& comm);

}  // namespace fedselect
