#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "fed/methods.hpp"
#include "io/manifest.hpp"
#include "io/run_writer.hpp"
#include "mpi_main.hpp"
#include "tiny_data.hpp"

namespace fedselect::testing {

namespace fs = std::filesystem;

inline constexpr int kClients = 7;
inline constexpr int kRounds = 4;
inline constexpr std::uint64_t kSeed = 5;

/// A folder that all ranks name alike; removed with this object.
class SharedFolder {
 public:
  SharedFolder() {
    std::string name = fs::temp_directory_path() / "run_writer_test_XXXXXX";
    if (world().is_root() && mkdtemp(name.data()) == nullptr) std::abort();
    const auto text = std::as_bytes(std::span(name));
    std::vector<std::byte> bytes(text.begin(), text.end());
    world().broadcast(bytes, 0);
    path_ = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  ~SharedFolder() {
    world().barrier();
    std::error_code ignored;
    if (world().is_root()) fs::remove_all(path_, ignored);
  }
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Seven clients with 3, 4, ... 9 training samples and 2 test samples each, in turn.
inline Partition unequal_partition() {
  Partition partition;
  std::int32_t next = 0;
  for (int k = 0; k < kClients; ++k) {
    partition.train.emplace_back();
    for (int i = 0; i < 3 + k; ++i) partition.train.back().push_back(next++);
    partition.test.push_back({2 * k, 2 * k + 1});
  }
  return partition;
}

/// A finished simulation of four rounds, whose masks grew in the last.
struct Federation {
  ops::ImageShape image{.height = 6, .width = 6, .channels = 1};
  Dataset data = random_dataset(64, 20, image, 3);
  Partition partition = unequal_partition();
  Network network{{.name = ModelKind::mlp, .hidden = 4}, image, 3};
  std::unique_ptr<Algorithm> algorithm;
  std::unique_ptr<ops::Ops> ops = ops::make_cpu_ops();
  std::unique_ptr<DeviceSum> sums = make_host_sum(world());
  std::unique_ptr<Simulation> simulation;

  explicit Federation(std::unique_ptr<Algorithm> method = make_fedselect(),
                      ServerConfig server = {}, StoreLimits store = {})
      : algorithm(std::move(method)) {
    algorithm->prepare(network.layout());
    SimulationSetup setup{.seed = kSeed,
                          .rounds = kRounds,
                          .train = {},
                          .server = server,
                          .federation = {},
                          .evaluate = {.every = 2},
                          .passes = 1};
    setup.federation.participation = 0.6;
    setup.store = store;
    simulation = std::make_unique<Simulation>(setup, *algorithm, network, data, partition,
                                              Device{*ops, *sums}, world());
  }

  RunDescription describe() const {
    return {.name = "tiny",
            .label = "fedselect, rate 1/4",
            .method = "fedselect",
            .config = "name = \"tiny\"\n",
            .manifest = make_manifest(world(), "cpu", {"test"}),
            .seed = kSeed,
            .tested_on = "after-local"};
  }

  void write(const fs::path& folder) {
    RunWriter writer(folder, describe(), network, world(), *simulation);
    for (int t = 0; t < kRounds; ++t) writer.add(gather_round(world(), simulation->round(t)), 0.5);
    writer.finish(data, partition);
  }
};

}  // namespace fedselect::testing
