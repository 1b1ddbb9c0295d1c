#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/make_partition.hpp"
#include "data/shift.hpp"
#include "io/config.hpp"
#include "io/initial_model.hpp"
#include "model/network.hpp"

namespace fedselect {

/// Where a config comes from.
struct ConfigSource {
  std::string path;
  std::vector<std::string> overrides;
  std::string method;  ///< label of the only one to take; empty: all
};

/// Declares CONFIG and --set.
void add_config_options(CLI::App& command, ConfigSource& source);
/// Declares --set alone.
void add_set_option(CLI::App& command, std::vector<std::string>& overrides);

/// What an experiment's clients hold.
struct ClientData {
  Config config;
  Dataset data;  ///< with every client's shift
  Partition partition;
};

/// What the methods of an experiment have in common, ready to run.
struct Experiment {
  Config config;
  Dataset data;
  Partition partition;
  Network network;
  InitialModel initial;
  Absences absences;  ///< the same on all ranks
};

/// Reads the config (collective). All ranks throw the same AgreedError if it is wrong for any of
/// them.
Config load_config(const ConfigSource& source, Communicator& comm);
/// Reads the config, loads its data, makes the partition, shifts the images; data.clients becomes
/// the partition's number. Collective; errors likewise, with the place of the key that is wrong.
ClientData load_client_data(const ConfigSource& source, Communicator& comm);
/// The same, and builds the network and reads the initial model and the absences.
Experiment load_experiment(const ConfigSource& source, Communicator& comm);

/// Collective: a fingerprint of what all files hold that the config names, the same on every rank:
/// of samples and partition, of the initial model and the absences where they come from a file.
std::uint64_t fingerprint(const Experiment& experiment, Communicator& comm);

}  // namespace fedselect
