#pragma once

#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "tiny_data.hpp"

namespace fedselect::fuzz {

/// Three clients with a network of a few parameters, so that their files are small.
struct SmallFederation {
  static constexpr int kRounds = 3;

  ops::ImageShape image{.height = 2, .width = 2, .channels = 1};
  Dataset data = testing::random_dataset(12, 6, image, 2);
  Partition partition{{{0, 1, 2, 3}, {4, 5, 6}, {7, 8, 9, 10, 11}}, {{0, 1}, {2, 3}, {4, 5}}};
  Network network{{.name = ModelKind::mlp, .hidden = 2}, image, 2};
  std::unique_ptr<Algorithm> algorithm;
  std::unique_ptr<Communicator> comm = make_self_communicator();
  std::unique_ptr<ops::Ops> ops = ops::make_cpu_ops();
  std::unique_ptr<DeviceSum> sums = make_host_sum(*comm);
  std::unique_ptr<Simulation> simulation;

  explicit SmallFederation(std::unique_ptr<Algorithm> method, ServerConfig server = {})
      : algorithm(std::move(method)) {
    algorithm->prepare(network.layout());
    const SimulationSetup setup{.seed = 5,
                                .rounds = kRounds,
                                .train = {},
                                .server = server,
                                .federation = {},
                                .evaluate = {},
                                .passes = 1};
    simulation = std::make_unique<Simulation>(setup, *algorithm, network, data, partition,
                                              Device{*ops, *sums}, *comm);
  }
};

/// Methods that together keep all that a checkpoint can hold.
inline std::vector<std::unique_ptr<SmallFederation>> all_kinds_of_state() {
  std::vector<std::unique_ptr<SmallFederation>> all;
  const ServerConfig adam{.optimizer = ServerOptimizer::adam};
  all.push_back(std::make_unique<SmallFederation>(make_fedselect(), adam));  // masks, moments
  all.push_back(std::make_unique<SmallFederation>(make_apfl()));             // vectors and numbers
  all.push_back(std::make_unique<SmallFederation>(make_fedpac()));           // messages
  const ServerConfig median{.merge = Merge::median};
  all.push_back(std::make_unique<SmallFederation>(make_fedselect(), median));  // uploads
  return all;
}

}  // namespace fedselect::fuzz
