#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/error.hpp"
#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "full_disk.hpp"
#include "mpi_main.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

using testing::world;

struct Federation {
  ops::ImageShape image{.height = 2, .width = 2, .channels = 1};
  Dataset data = testing::random_dataset(12, 6, image, 2);
  Partition partition{{{0, 1, 2, 3}, {4, 5, 6}, {7, 8, 9, 10, 11}, {0, 1}, {2}},
                      {{0, 1}, {2, 3}, {4, 5}, {0}, {1}}};
  Network network{{.name = ModelKind::mlp, .hidden = 2}, image, 2};
  std::unique_ptr<Algorithm> algorithm;
  std::unique_ptr<ops::Ops> ops = ops::make_cpu_ops();
  std::unique_ptr<DeviceSum> sums = make_host_sum(world());
  std::unique_ptr<Simulation> simulation;

  explicit Federation(std::unique_ptr<Algorithm> method, const StoreLimits& store = {})
      : algorithm(std::move(method)) {
    algorithm->prepare(network.layout());
    SimulationSetup setup{
        .seed = 5, .rounds = 2, .train = {}, .federation = {}, .evaluate = {}, .passes = 1};
    setup.evaluate.cross = true;
    setup.store = store;
    setup.fails_together = true;
    simulation = std::make_unique<Simulation>(setup, *algorithm, network, data, partition,
                                              Device{*ops, *sums}, world());
  }
};

/// The last rank fails before its first client; the others have trained theirs by then. All throw
/// what it threw, and speak to each other afterwards. In the first round, where no pace is known
/// and every rank has clients: later a slow one might have lent all of its own, and never be asked.
/// The same while the clients' models are tested on each other, where a rank that is asked to stop
/// stops all.
TEST(Simulation, RanksFailTogether) {
  Federation federation(make_fedavg());
  Simulation& simulation = *federation.simulation;
  const int last = world().size() - 1;
  const auto out_of_luck = [&]() -> bool {
    if (world().rank() == last) throw std::runtime_error("out of luck");
    return false;
  };
  const auto heard_of = [](const std::function<void()>& work) -> std::string {
    try {
      work();
    } catch (const SystemError& error) {
      return error.what();
    }
    return {};
  };
  const std::string expected = "rank " + std::to_string(last) + ": out of luck";
  EXPECT_EQ(heard_of([&] { simulation.train_cohort(0, out_of_luck); }), expected);
  simulation.train_cohort(0, Simulation::never);
  EXPECT_EQ(heard_of([&] { simulation.complete_round(0, out_of_luck); }), expected);
  EXPECT_TRUE(simulation.complete_round(0, Simulation::never));
  EXPECT_EQ(heard_of([&] { simulation.conclude(out_of_luck); }), expected);
  EXPECT_FALSE(simulation.conclude([&] { return world().rank() == last; }));
  EXPECT_TRUE(simulation.conclude([] { return false; }));
  std::vector<std::int64_t> one{1};
  world().all_reduce_sum(std::span(one));
  EXPECT_EQ(one.front(), world().size());
}

/// Clients' states that a rank can't put away wait in memory, and the error for the other ranks.
TEST(Simulation, ARankWhoseScratchIsFullFailsWithTheOthers) {
  Federation federation(make_scaffold(), {.memory = 0});
  federation.simulation->round(0);
  {
    std::optional<testing::FullDisk> full;
    if (world().rank() == world().size() - 1) full.emplace(0);
    EXPECT_THROW(federation.simulation->train_cohort(1, Simulation::never), SystemError);
  }
  std::vector<std::int64_t> one{1};
  world().all_reduce_sum(std::span(one));
  EXPECT_EQ(one.front(), world().size());
}

}  // namespace
}  // namespace fedselect
