#include "estimate/forecast.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "fed/methods.hpp"
#include "io/round_journal.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

TEST(FileSizes, JournalIsAsLongAsForetold) {
  const auto path =
      std::filesystem::temp_directory_path() / ("fedselect-journal-" + std::to_string(getpid()));
  RoundJournal journal(path);
  RoundRecord round;
  round.clients.resize(3);
  round.density.resize(3 * 4);
  round.ranks.resize(2);
  for (int t = 0; t < 5; ++t) journal.add(round, 1);
  journal.sync();
  EXPECT_EQ(std::filesystem::file_size(path), RoundJournal::bytes_of_rounds(5, 15, 4, 2));
  std::filesystem::remove(path);
}

TEST(FileSizes, CheckpointHoldsTheStates) {
  ParameterLayout layout;
  layout.add("weight", {10, 100}, TensorKind::weight, 0);
  std::vector<Word> words(layout.words(), kAllBits);
  const ClientState state{.mask = std::make_shared<const Mask>(words),
                          .personal = UnsetVector<float>(1000, 0.0F),
                          .vectors = {UnsetVector<float>(layout.padded_size(), 0.0F)}};
  const ClientState nothing;
  const auto size = [&](std::vector<const ClientState*> states) {
    return file_sizes({.layout = &layout, .rounds = 1, .server_arrays = 1, .output = {}}, states)
        .checkpoint;
  };
  // 1024 padded values: 128 bytes of mask, 4096 of a vector; numbers of 53 bytes.
  EXPECT_EQ(size({&nothing, &state}) - size({&nothing}), 128 + 4000 + 4096 + 53);
}

TEST(Forecast, NodeHoldsSharedMemoryOnce) {
  MethodForecast method;
  method.rank_bytes = 100;
  EXPECT_EQ(node_bytes(method, 30, 1), 100U);
  EXPECT_EQ(node_bytes(method, 30, 4), 30U + 4 * 70U);
  method.root_bytes = 20;
  EXPECT_EQ(node_bytes(method, 30, 1), 100U);
  EXPECT_EQ(node_bytes(method, 30, 4), 30U + 20U + 4 * 50U);
}

TEST(Calibration, KindsOfTurns) {
  const auto turn = [](std::int64_t backward, std::int64_t changes) {
    Turn made;
    made.trained.backward = backward;
    made.record.mask_changes = changes;
    return made;
  };
  const std::vector<Turn> turns{turn(60, 0),  turn(60, 0), turn(60, 5),
                                turn(120, 0), turn(60, 0), turn(120, 7)};
  EXPECT_EQ(first_of_kinds(turns, 6), (std::vector<int>{0, 2, 3, 5}));
  EXPECT_EQ(first_of_kinds(turns, 2), (std::vector<int>{0, 2}));
  const std::vector<TurnCost> costs{{.flops_per_sample = 100, .searches = false},
                                    {.flops_per_sample = 100, .searches = true},
                                    {.flops_per_sample = 200, .searches = false}};
  EXPECT_EQ(&cost_of(turn(0, 0), 180, costs), &costs[2]);
  EXPECT_EQ(&cost_of(turn(0, 3), 110, costs), &costs[1]);
}

/// Five clients of 10 samples, with seconds that can be added up in the head.
TEST(Forecast, ARoundIsAsLongAsItsBusiestRank) {
  const Dataset data = testing::random_dataset(50, 50, {2, 2, 1}, 2);
  Partition partition;
  for (std::int32_t k = 0; k < 5; ++k) {
    Partition::Indices ten;
    for (std::int32_t i = 0; i < 10; ++i) ten.push_back(10 * k + i);
    partition.train.push_back(ten);
    partition.test.push_back(ten);
  }
  const Network network({.name = ModelKind::logistic}, {2, 2, 1}, 2);
  const auto algorithm = find_method("fedavg")->make();
  algorithm->prepare(network.layout());
  SimulationSetup setup;
  setup.rounds = 2;
  setup.passes = 3;
  setup.evaluate.every = 2;
  Rehearsal rehearsal(setup, *algorithm, network, data, copies_of(partition, 1, 1, 10, 10));
  Course course(setup, *algorithm, network.layout(), partition, rehearsal);
  const CourseRound first = course.next();
  const CourseRound second = course.next();

  const double flops = 3 * 10 * network.training_flops();
  const double test_flops = 10 * network.forward_flops();
  const MethodCost cost{
      .turns = {{.flops_per_sample = flops / 10, .training = 2 / flops, .own = 1}},
      .testing = 0.5 / test_flops,
      .merging = 0.25,
      .talking = 0.5,
      .writing = 0.125};
  const auto seconds = [&](const CourseRound& round, Ranks ranks) {
    return RoundClock(cost, network, partition, setup.federation, rehearsal, ranks).seconds(round);
  };
  const Ranks one{.count = 1, .on_node = 1, .measured = 1};
  const Ranks two{.count = 2, .on_node = 2, .measured = 2};
  const Ranks four{.count = 4, .on_node = 4, .measured = 2};
  EXPECT_DOUBLE_EQ(seconds(first, one), 5 * 3 + 0.875);
  EXPECT_DOUBLE_EQ(seconds(first, two), 3 * 3 + 0.875);
  EXPECT_DOUBLE_EQ(seconds(first, four), 2 * 3 + 0.375 + 2 * 0.5);
  // Tested before and after training, and after the broadcast: by the rank that hosts three.
  EXPECT_DOUBLE_EQ(seconds(second, two), 3 * (3 + 2 * 0.5) + 3 * 0.5 + 0.875);
}

}  // namespace
}  // namespace fedselect
