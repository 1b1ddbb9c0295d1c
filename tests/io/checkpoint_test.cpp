// A simulation that goes on from a checkpoint against one that was never interrupted: the same
// bits. Changes of the number of ranks are tested by tests/resume.

#include "io/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "full_disk.hpp"
#include "small_federation.hpp"

namespace fedselect {
namespace {

using namespace testing;

/// Stops after the first client of each rank.
Simulation::StopRequest after_one() {
  return [asked = 0]() mutable { return asked++ > 0; };
}

/// Stops before the first one.
bool at_once() { return true; }

/// Where a checkpoint is written.
enum class Where { between_rounds, in_open_round, before_its_test };

/// What a simulation knows at the end, as bytes.
std::string state_of(Federation& federation) {
  Simulation& simulation = *federation.simulation;
  std::string bytes;
  const auto add = [&](const auto& values) {
    const auto part = std::as_bytes(std::span(values));
    bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  };
  add(simulation.global_model());
  for (const auto& [name, values] : simulation.server().state().arrays) add(values);
  for (const int client : simulation.shard()) {
    add(simulation.client_model(client));
    const ClientState& state = simulation.store().state(client);
    if (state.mask) add(state.mask->words());
    add(state.personal);
    for (const auto& vector : state.vectors) add(vector);
    add(state.scalars);
  }
  return bytes;
}

/// What a round's records say, without times.
std::string text_of(const RoundRecord& round) {
  std::string text;
  for (const ClientRecord& r : round.clients)
    text += fmt::format("{} {} {} {} {} {} {} {} {} {}\n", r.client, r.participated, r.accuracy,
                        r.accuracy_before, r.accuracy_after, r.loss, r.gradients, r.bytes_up,
                        r.bytes_down, r.mask_changes);
  for (const float density : round.density) text += fmt::format("{} ", density);
  return text;
}

class MethodCheckpoint : public ::testing::TestWithParam<const Method*> {
 protected:
  /// The method on this file's network; null if it means nothing there.
  std::unique_ptr<Federation> make(ServerConfig server = {}) const {
    try {
      return std::make_unique<Federation>(GetParam()->make(), server);
    } catch (const InputError&) {
      return nullptr;
    }
  }

  /// Rounds 0, 1 (of the second only a part, unless it is between rounds), a checkpoint, the rest
  /// by the same simulation, and by a new one.
  void compare(ServerConfig server, Where where) {
    auto unbroken = make(server);
    if (!unbroken) GTEST_SKIP() << "not for this network";
    std::string expected;
    for (int t = 0; t < kRounds; ++t) expected = text_of(unbroken->simulation->round(t));

    const SharedFolder folder;
    fs::create_directories(folder.path());
    const fs::path path = folder.path() / "checkpoint.h5";
    auto first = make(server);
    first->simulation->round(0);
    if (where == Where::between_rounds) {
      first->simulation->round(1);
    } else if (where == Where::in_open_round) {
      first->simulation->train_cohort(1, after_one());
    } else {
      first->simulation->train_cohort(1, Simulation::never);
      if (first->simulation->complete_round(1, at_once)) GTEST_SKIP() << "has no test then";
    }
    const int rounds = where == Where::between_rounds ? 2 : 1;
    const CheckpointHeader header{
        .rounds = rounds, .config = "x = 1\n", .data_hash = ~0ULL, .journal = {7, ~1ULL}};
    write_checkpoint(path, {}, header, *first->simulation, world());
    std::string went_on;
    for (int t = rounds; t < kRounds; ++t) went_on = text_of(first->simulation->round(t));
    EXPECT_EQ(went_on, expected);
    EXPECT_EQ(state_of(*first), state_of(*unbroken));
    first.reset();

    auto second = make(server);
    const Checkpoint stored(path);
    EXPECT_EQ(stored.header().rounds, rounds);
    EXPECT_EQ(stored.header().round_is_open, where != Where::between_rounds);
    EXPECT_EQ(stored.header().round_is_merged, where == Where::before_its_test);
    EXPECT_EQ(stored.header().config, "x = 1\n");
    EXPECT_EQ(stored.header().data_hash, ~0ULL);
    EXPECT_EQ(stored.header().journal.bytes, 7U);
    EXPECT_EQ(stored.header().journal.hash, ~1ULL);
    stored.restore(*second->simulation);
    std::string found;
    for (int t = rounds; t < kRounds; ++t) found = text_of(second->simulation->round(t));
    EXPECT_EQ(found, expected);
    EXPECT_EQ(state_of(*second), state_of(*unbroken));
  }
};

TEST_P(MethodCheckpoint, GoesOnBetweenRounds) { compare({}, Where::between_rounds); }

TEST_P(MethodCheckpoint, GoesOnInAnOpenRound) { compare({}, Where::in_open_round); }

TEST_P(MethodCheckpoint, GoesOnBeforeTheTestOfARound) { compare({}, Where::before_its_test); }

TEST_P(MethodCheckpoint, KeepsTheStateOfTheServersOptimizer) {
  const ServerConfig yogi{.optimizer = ServerOptimizer::yogi, .lr = 0.1};
  if (!GetParam()->make()->conflict({}, yogi).empty()) GTEST_SKIP() << "refuses it";
  compare(yogi, Where::in_open_round);
}

TEST_P(MethodCheckpoint, KeepsUploadsOfARobustMerge) {
  const ServerConfig median{.merge = Merge::median};
  if (!GetParam()->make()->conflict({}, median).empty()) GTEST_SKIP() << "refuses it";
  compare(median, Where::in_open_round);
  compare(median, Where::before_its_test);
}

std::vector<const Method*> all_methods() {
  std::vector<const Method*> all;
  for (const Method& method : methods()) all.push_back(&method);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Methods, MethodCheckpoint, ::testing::ValuesIn(all_methods()),
                         [](const auto& method) {
                           std::string name(method.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// As when the newer of two checkpoints turned out to be damaged at its end.
TEST(Checkpoint, ReplacesWhatAnotherOneLeftInASimulation) {
  const ServerConfig yogi{.optimizer = ServerOptimizer::yogi, .lr = 0.1};
  const SharedFolder folder;
  fs::create_directories(folder.path());
  const fs::path older = folder.path() / "older.h5";
  const fs::path newer = folder.path() / "newer.h5";
  Federation unbroken(make_fedavg(), yogi);
  write_checkpoint(older, {}, {.rounds = 0, .config = "x", .journal = {}}, *unbroken.simulation,
                   world());
  std::string expected;
  for (int t = 0; t < kRounds; ++t) expected = text_of(unbroken.simulation->round(t));

  Federation first(make_fedavg(), yogi);
  first.simulation->round(0);
  first.simulation->train_cohort(1, after_one());
  write_checkpoint(newer, {}, {.rounds = 1, .config = "x", .journal = {}}, *first.simulation,
                   world());
  Federation second(make_fedavg(), yogi);
  Checkpoint(newer).restore(*second.simulation);
  EXPECT_TRUE(second.simulation->open_round());
  Checkpoint(older).restore(*second.simulation);
  EXPECT_FALSE(second.simulation->open_round());
  std::string found;
  for (int t = 0; t < kRounds; ++t) found = text_of(second.simulation->round(t));
  EXPECT_EQ(found, expected);
  EXPECT_EQ(state_of(second), state_of(unbroken));
}

TEST(Checkpoint, ClientsThatSharedAMaskShareItAgain) {
  Federation federation(make_fedper());
  federation.simulation->round(0);
  federation.simulation->round(1);
  const SharedFolder folder;
  fs::create_directories(folder.path());
  const fs::path path = folder.path() / "checkpoint.h5";
  write_checkpoint(path, {}, {.rounds = 2, .config = "x", .journal = {}}, *federation.simulation,
                   world());
  Federation again(make_fedper());
  Checkpoint(path).restore(*again.simulation);
  MaskPtr first;
  for (const int client : again.simulation->shard()) {
    const MaskPtr& mask = again.simulation->store().state(client).mask;
    if (!first) first = mask;
    EXPECT_TRUE(mask == nullptr || mask == first);
  }
}

TEST(Checkpoint, TheOldOneGetsAnotherNameAndAFailureLeavesIt) {
  Federation federation;
  federation.simulation->round(0);
  const SharedFolder folder;
  fs::create_directories(folder.path());
  const fs::path path = folder.path() / "checkpoint.h5";
  const fs::path older = folder.path() / "older.h5";
  const auto write = [&](int rounds) {
    write_checkpoint(path, older, {.rounds = rounds, .config = "x", .journal = {}},
                     *federation.simulation, world());
  };
  write(1);
  EXPECT_FALSE(fs::exists(older));
  write(2);
  EXPECT_EQ(Checkpoint(path).header().rounds, 2);
  EXPECT_EQ(Checkpoint(older).header().rounds, 1);
  EXPECT_THROW(write_checkpoint(folder.path() / "absent" / "checkpoint.h5", {},
                                {.rounds = 3, .config = "x", .journal = {}}, *federation.simulation,
                                world()),
               SystemError);
  EXPECT_EQ(Checkpoint(path).header().rounds, 2);
}

/// States make room for each other while a checkpoint is written.
TEST(Checkpoint, FailsOnAllRanksIfTheScratchOfOneIsFull) {
  Federation federation(make_fedselect(), {}, {.memory = 0});
  for (int t = 0; t < kRounds; ++t) federation.simulation->round(t);
  const auto shard = federation.simulation->shard();
  const bool is_last = world().rank() == world().size() - 1;
  const SharedFolder folder;
  const fs::path path = folder.path() / "checkpoint.h5";
  const auto write = [&] {
    write_checkpoint(path, {}, {.rounds = kRounds, .config = "x", .journal = {}},
                     *federation.simulation, world());
  };
  for (const int client : shard) federation.simulation->store().state(client).scalars = {};
  {
    std::optional<FullDisk> full;
    if (is_last) full.emplace(0);
    EXPECT_THROW(write(), SystemError);
  }
  EXPECT_FALSE(fs::exists(path));
  world().barrier();
  write();
  EXPECT_EQ(Checkpoint(path).header().rounds, kRounds);
}

/// Between rounds, in an open one, and before its test: what says which is believed of none but the
/// file that it was written into.
TEST(Checkpoint, ItsStageIsNotTakenForAnother) {
  if (world().size() > 1) GTEST_SKIP() << "one reader is enough";
  const SharedFolder folder;
  fs::create_directories(folder.path());
  const fs::path path = folder.path() / "checkpoint.h5";
  Federation federation(make_fedavg());
  Simulation& simulation = *federation.simulation;
  simulation.round(0);
  for (const Where where : {Where::between_rounds, Where::in_open_round, Where::before_its_test}) {
    if (where == Where::in_open_round) {
      simulation.train_cohort(1, after_one());
    } else if (where == Where::before_its_test) {
      simulation.train_cohort(1, Simulation::never);
      ASSERT_FALSE(simulation.complete_round(1, at_once));
    }
    write_checkpoint(path, {}, {.rounds = 1, .config = "x", .journal = {}}, simulation, world());
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto restore = [&] {
      Federation other(make_fedavg());
      const Checkpoint stored(path);
      stored.restore(*other.simulation);
      const CheckpointHeader& header = stored.header();
      return fmt::format("{} {} {}", header.rounds, header.round_is_open, header.round_is_merged);
    };
    const std::string expected = restore();
    int found = 0;
    for (const std::string name : {"rounds", "round_is_open", "round_is_merged", "version"})
      for (std::size_t at = bytes.find(name); at < bytes.find(name) + 80; ++at) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        std::ofstream(path, std::ios::binary) << damaged;
        try {
          EXPECT_EQ(restore(), expected) << name << ", byte " << at;
        } catch (const InputError&) {
          ++found;
        }
      }
    EXPECT_GT(found, 8);
  }
}

struct DamagedRun {
  const char* name;
  std::unique_ptr<Algorithm> (*make)();
  ServerConfig server;
  std::size_t step;  ///< bytes between those that are damaged
  Where where = Where::in_open_round;
};

class Damage : public ::testing::TestWithParam<DamagedRun> {};

/// Whatever happens to one byte of a checkpoint in an open round is noticed, or changes nothing.
TEST_P(Damage, IsFound) {
  if (world().size() > 1) GTEST_SKIP() << "one reader is enough";
  const auto make = [] {
    return std::make_unique<Federation>(GetParam().make(), GetParam().server);
  };
  const SharedFolder folder;
  fs::create_directories(folder.path());
  const fs::path path = folder.path() / "checkpoint.h5";
  {
    const auto federation = make();
    federation->simulation->round(0);
    const bool is_merged = GetParam().where == Where::before_its_test;
    federation->simulation->train_cohort(1, is_merged ? Simulation::never : after_one());
    if (is_merged) {
      ASSERT_FALSE(federation->simulation->complete_round(1, at_once));
    }
    write_checkpoint(path, {}, {.rounds = 1, .config = "x", .journal = {}}, *federation->simulation,
                     world());
  }
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const auto end_of_round = [&] {
    const auto federation = make();
    Checkpoint(path).restore(*federation->simulation);
    return text_of(federation->simulation->round(1)) + state_of(*federation);
  };
  const std::string expected = end_of_round();
  int found = 0;
  for (std::size_t at = 3; at < bytes.size(); at += GetParam().step) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    std::ofstream(path, std::ios::binary) << damaged;
    try {
      EXPECT_EQ(end_of_round(), expected) << "byte " << at;
    } catch (const InputError&) {
      ++found;
    }
  }
  EXPECT_GT(found, 30);
  for (const std::size_t size : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, size);
    EXPECT_THROW(Checkpoint{path}, InputError) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Checkpoint, Damage,
    ::testing::Values(DamagedRun{"Vectors", make_scaffold, {}, 97},
                      DamagedRun{"Messages", make_fedpac, {}, 97},
                      DamagedRun{"Uploads", make_fedselect, {.merge = Merge::median}, 97},
                      DamagedRun{"Merged", make_fedavg, {}, 97, Where::before_its_test}),
    [](const auto& run) { return run.param.name; });

}  // namespace
}  // namespace fedselect
