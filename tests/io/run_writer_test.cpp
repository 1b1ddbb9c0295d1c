#include "io/run_writer.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <thread>

#include "base/error.hpp"
#include "fed/methods.hpp"
#include "fed/packing.hpp"
#include "full_disk.hpp"
#include "io/run_lock.hpp"
#include "small_federation.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;
using namespace testing;

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T>
std::vector<T> read(const fs::path& path, const char* name, hid_t type) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  const hid_t space = H5Dget_space(dataset);
  std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << name;
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(file);
  return values;
}

TEST(PackMask, DropsThePaddingBetweenTensors) {
  ParameterLayout layout;
  RandomStream random(kSeed, Purpose::test, 3);
  for (const int n : {3, 70, 64, 1, 128, 130, 7}) layout.add("t", {n}, TensorKind::weight, 0);
  std::vector<Word> words(layout.words());
  for (auto& word : words)
    word = random.below(~std::uint64_t{0});  // padding is not 0: it must not count
  const auto row = pack_mask(layout, words);
  ASSERT_EQ(row.size(), (layout.size() + 7) / 8);
  std::size_t j = 0;
  for (const auto& range : layout.ranges())
    for (std::size_t i = 0; i < range.size; ++i, ++j)
      ASSERT_EQ(test_bit(words.data(), range.begin + i), ((row[j / 8] >> (j % 8)) & 1) != 0) << j;
  for (; j < row.size() * 8; ++j) EXPECT_EQ((row[j / 8] >> (j % 8)) & 1, 0);
}

TEST(RunWriter, WritesEveryClientsMask) {
  const SharedFolder folder;
  Federation federation;
  federation.write(folder.path() / "run");
  const auto& layout = federation.network.layout();
  std::vector<std::uint8_t> bits;
  if (world().is_root())
    bits = read<std::uint8_t>(folder.path() / "run/result.h5", "/masks/bits", H5T_NATIVE_UINT8);
  auto bytes = std::as_bytes(std::span(bits));
  std::vector<std::byte> shared(bytes.begin(), bytes.end());
  world().broadcast(shared, 0);
  const std::size_t row_bytes = (layout.size() + 7) / 8;
  ASSERT_EQ(shared.size(), kClients * row_bytes);
  std::int64_t personal = 0;
  for (int k = 0; k < kClients; ++k) {
    if (federation.simulation->rank_of_client()[static_cast<std::size_t>(k)] != world().rank())
      continue;
    const MaskPtr mask = federation.simulation->mask(k);
    const std::vector<Word> nothing(layout.words(), 0);
    const auto expected = pack_mask(layout, mask ? mask->words() : std::span(nothing));
    EXPECT_EQ(0, std::memcmp(expected.data(),
                             shared.data() + static_cast<std::size_t>(k) * row_bytes, row_bytes))
        << "client " << k;
    personal += mask ? static_cast<std::int64_t>(mask->count()) : 0;
  }
  world().all_reduce_sum(std::span(&personal, 1));
  EXPECT_GT(personal, 0) << "the case is empty: no mask grew";
}

TEST(PackModel, DropsThePaddingAndEndsWithStatistics) {
  ParameterLayout layout;
  layout.add("a", {70}, TensorKind::weight, 0);
  layout.add("s", {2}, TensorKind::statistic, 1, true);
  layout.add("b", {3}, TensorKind::bias, 1);
  std::vector<float> values(layout.padded_size(), -1);
  float next = 0;
  for (const auto* tensors : {&layout.tensors(), &layout.statistics()})
    for (const Tensor& tensor : *tensors)
      for (std::size_t i = 0; i < tensor.size(); ++i) values[tensor.range.begin + i] = next++;
  const auto packed = pack_model(layout, values);
  ASSERT_EQ(packed.size(), 75U);
  for (std::size_t i = 0; i < packed.size(); ++i) EXPECT_EQ(packed[i], static_cast<float>(i));
}

/// Own values where the mask is 1, the global model's elsewhere, whichever rank hosts the client.
TEST(RunWriter, WritesEveryClientsModel) {
  const SharedFolder folder;
  Federation federation(make_fedper());
  RunDescription description = federation.describe();
  description.client_models = true;
  RunWriter writer(folder.path() / "run", description, federation.network, world(),
                   *federation.simulation);
  for (int t = 0; t < kRounds; ++t)
    writer.add(gather_round(world(), federation.simulation->round(t)), 0.5);
  writer.finish(federation.data, federation.partition);
  if (!world().is_root()) return;
  const fs::path file = folder.path() / "run/result.h5";
  const auto models = read<float>(file, "/client_models/values", H5T_NATIVE_FLOAT);
  const auto bits = read<std::uint8_t>(file, "/masks/bits", H5T_NATIVE_UINT8);
  const auto& layout = federation.network.layout();
  const auto global = pack_model(layout, federation.simulation->global_model());
  ASSERT_EQ(models.size(), kClients * layout.size());
  const std::size_t row_bytes = (layout.size() + 7) / 8;
  std::size_t own = 0;
  for (std::size_t k = 0; k < kClients; ++k)
    for (std::size_t j = 0; j < layout.size(); ++j) {
      const bool is_personal = ((bits[k * row_bytes + j / 8] >> (j % 8)) & 1) != 0;
      const float value = models[k * layout.size() + j];
      ASSERT_TRUE(is_personal || value == global[j]) << "client " << k << ", parameter " << j;
      own += value != global[j] ? 1 : 0;
    }
  EXPECT_GT(own, 0U) << "the case is empty: nothing personal differs";
}

/// States make room for each other while the masks are collected.
TEST(RunWriter, FailsOnAllRanksIfTheScratchOfOneIsFull) {
  const SharedFolder folder;
  Federation federation(make_fedselect(), {}, {.memory = 0});
  RunWriter writer(folder.path() / "run", federation.describe(), federation.network, world(),
                   *federation.simulation);
  for (int t = 0; t < kRounds; ++t)
    writer.add(gather_round(world(), federation.simulation->round(t)), 0.5);
  auto& store = federation.simulation->store();
  for (const int client : federation.simulation->shard()) store.state(client).scalars = {};
  {
    std::optional<FullDisk> full;
    if (world().rank() == world().size() - 1) full.emplace(0);
    EXPECT_THROW(writer.finish(federation.data, federation.partition), SystemError);
  }
  EXPECT_FALSE(fs::exists(folder.path() / "run/result.h5"));
}

TEST(RunWriter, KeepsWhatTheRoundsMeasured) {
  const SharedFolder folder;
  Federation federation;
  const fs::path run = folder.path() / "run";
  RunWriter writer(run, federation.describe(), federation.network, world(), *federation.simulation);
  std::vector<RoundRecord> rounds;
  for (int t = 0; t < kRounds; ++t) {
    rounds.push_back(gather_round(world(), federation.simulation->round(t)));
    writer.add(rounds.back(), 0.25);
  }
  writer.finish(federation.data, federation.partition);
  if (!world().is_root()) return;

  const auto loss = read<double>(run / "result.h5", "/metrics/loss", H5T_NATIVE_DOUBLE);
  const auto bytes_up =
      read<std::int64_t>(run / "result.h5", "/metrics/bytes_up", H5T_NATIVE_INT64);
  ASSERT_EQ(loss.size(), std::size_t{kRounds * kClients});
  std::vector<double> expected_loss(loss.size(), ClientRecord::kNone);
  std::vector<std::int64_t> expected_up(loss.size(), 0);
  for (std::size_t t = 0; t < kRounds; ++t)
    for (const auto& record : rounds[t].clients) {
      expected_loss[t * kClients + static_cast<std::size_t>(record.client)] = record.loss;
      expected_up[t * kClients + static_cast<std::size_t>(record.client)] = record.bytes_up;
    }
  EXPECT_EQ(0, std::memcmp(loss.data(), expected_loss.data(), loss.size() * sizeof(double)));
  EXPECT_EQ(bytes_up, expected_up);

  const auto offsets =
      read<std::int64_t>(run / "result.h5", "/partition/train_offsets", H5T_NATIVE_INT64);
  EXPECT_EQ(offsets, (std::vector<std::int64_t>{0, 3, 7, 12, 18, 25, 33, 42}));
  const auto counts =
      read<std::int64_t>(run / "result.h5", "/partition/train_class_counts", H5T_NATIVE_INT64);
  EXPECT_EQ(std::vector<std::int64_t>(counts.begin(), counts.begin() + 6),
            (std::vector<std::int64_t>{1, 1, 1, 2, 1, 1}));
  const auto model = federation.simulation->global_model();
  const auto& bias = federation.network.layout().tensors().back();
  const auto written =
      read<float>(run / "result.h5", ("/model/" + bias.name).c_str(), H5T_NATIVE_FLOAT);
  ASSERT_EQ(written.size(), bias.size());
  EXPECT_EQ(0, std::memcmp(written.data(), model.data() + bias.range.begin, bias.size() * 4));
}

TEST(RunWriter, WritesARowARound) {
  const SharedFolder folder;
  Federation federation;
  RunWriter writer(folder.path(), federation.describe(), federation.network, world(),
                   *federation.simulation);
  const std::size_t tensors = federation.network.layout().tensors().size();
  RoundRecord round{.round = 3, .evaluated = true, .clients = {}, .density = {}, .ranks = {}};
  round.clients.push_back({.client = 0,
                           .participated = 1,
                           .accuracy = 0.5,
                           .loss = 2,
                           .samples = 3,
                           .gradients = 6,
                           .bytes_up = 10,
                           .bytes_down = 100});
  round.clients.push_back({.client = 4,
                           .participated = 1,
                           .diverged = 1,
                           .accuracy = 0.25,
                           .samples = 7,
                           .gradients = 14,
                           .bytes_up = 1,
                           .bytes_down = 2});
  round.clients.push_back({.client = 5, .accuracy = 1});  // tested, did not take part
  round.density.assign(2 * tensors, 0.5F);
  round.density.resize(3 * tensors, 0.0F);
  writer.add(round, 1.5);
  round.clients.clear();  // nobody: empty means
  round.density.clear();
  writer.add(round, 2);
  if (!world().is_root()) return;
  std::istringstream lines(text_of(folder.path() / "metrics.csv"));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line.substr(0, 22), "round,clients,accuracy");
  std::getline(lines, line);
  EXPECT_EQ(line, "3,2,0.375,0.25,,,2,0.5,11,102,20,1,1.500000");
  std::getline(lines, line);
  EXPECT_EQ(line, "3,0,,,,,,,0,0,0,0,2.000000");
}

TEST(RunWriter, RefusesAFolderThatHoldsARun) {
  const SharedFolder folder;
  Federation federation;
  federation.write(folder.path() / "run");
  try {
    RunWriter again(folder.path() / "run", federation.describe(), federation.network, world(),
                    *federation.simulation);
    FAIL() << "took it";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("holds a run already"), std::string::npos);
  }
}

/// Its bits are promised on one kind only.
TEST(RunWriter, SaysWhenARunGoesOnOnAnotherKindOfDevice) {
  const SharedFolder folder;
  const auto describe = [](const Federation& federation, const char* device) {
    RunDescription description = federation.describe();
    description.device = device;
    return description;
  };
  {
    Federation first;
    RunWriter writer(folder.path() / "run", describe(first, "cpu (avx2)"), first.network, world(),
                     *first.simulation);
    writer.add(gather_round(world(), first.simulation->round(0)), 0.5);
    writer.checkpoint(false);
  }
  const auto note_on = [&](const char* device) {
    Federation second;
    const RunWriter writer(folder.path() / "run", describe(second, device), second.network, world(),
                           *second.simulation, [](const CheckpointHeader& /*header*/) {});
    return writer.note();
  };
  EXPECT_EQ(note_on("cpu (avx2)"), "");
  const std::string note = note_on("abacus");
  const bool says_so =
      note.starts_with("warning: goes on on abacus, and was computed on cpu (avx2) before");
  EXPECT_EQ(says_so, world().is_root()) << note;
}

TEST(RunLock, KeepsOthersOutOrSaysWhyItDoesNot) {
  if (!world().is_root()) return;
  const std::string name = fs::temp_directory_path() / fmt::format("run_lock_test_{}", getpid());
  EXPECT_EQ(RunLock(name).warning(),
            "warning: " + name +
                ": can't be locked (No such file or directory): see that no "
                "other program works there meanwhile");
  fs::create_directory(name);
  {
    const RunLock lock(name);
    EXPECT_EQ(lock.warning(), "");
    EXPECT_THROW(RunLock{name}, InputError);
  }
  EXPECT_TRUE(fs::is_empty(name));
  EXPECT_EQ(RunLock(name).warning(), "");
  fs::remove_all(name);
}

TEST(RunWriter, RefusesAFolderThatCannotBe) {
  Federation federation;
  EXPECT_THROW(RunWriter("/dev/null/run", federation.describe(), federation.network, world(),
                         *federation.simulation),
               InputError);
}

TEST(RunWriter, LeavesNothingIfTheDiskFills) {
  const SharedFolder folder;
  Federation federation;
  const fs::path run = folder.path() / "run";
  RunWriter writer(run, federation.describe(), federation.network, world(), *federation.simulation);
  for (int t = 0; t < kRounds; ++t)
    writer.add(gather_round(world(), federation.simulation->round(t)), 0.5);
  for (const rlim_t limit : {rlim_t{0}, rlim_t{1000}, rlim_t{6000}, rlim_t{12000}}) {
    try {
      std::optional<FullDisk> full;
      if (world().is_root()) full.emplace(limit);
      writer.finish(federation.data, federation.partition);
      ADD_FAILURE() << "wrote more than " << limit << " bytes";
    } catch (const SystemError& error) {  // on all ranks
      EXPECT_NE(std::string(error.what()).find("result.h5.partial"), std::string::npos)
          << error.what();
    }
    world().barrier();
    EXPECT_FALSE(fs::exists(run / "result.h5"));
    EXPECT_FALSE(fs::exists(run / "result.h5.partial"));
    world().barrier();
  }
  writer.finish(federation.data, federation.partition);  // space again
  EXPECT_TRUE(fs::exists(run / "result.h5"));
  world().barrier();
}

TEST(Manifest, SaysWhereTheNumbersComeFrom) {
  const std::string start = make_manifest(world(), "cpu (avx2)", {"fedselect", "run", "a b\xff"});
  const auto json = nlohmann::json::parse(complete_manifest(start, 1.25, 0.25));
  EXPECT_EQ(json["program"], "fedselect");
  EXPECT_EQ(json["device"], "cpu (avx2)");
  EXPECT_EQ(json["ranks"], world().size());
  EXPECT_EQ(json["command"][1], "run");
  EXPECT_EQ(json["seconds"], 1.25);
  std::size_t ranks = 0;
  for (const auto& host : json["hosts"]) ranks += host["ranks"].size();
  EXPECT_EQ(ranks, static_cast<std::size_t>(world().is_root() ? world().size() : 0));
  for (const char* key : {"version", "git_revision", "git_modified", "compiler", "flags",
                          "build_type", "libraries", "start", "end"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["start"].get<std::string>().size(), 24U);
}

TEST(ResultFile, SameContentsGiveTheSameBytes) {
  const SharedFolder folder;
  Federation federation;
  std::vector<RoundRecord> rounds;
  for (int t = 0; t < kRounds; ++t)
    rounds.push_back(gather_round(world(), federation.simulation->round(t)));
  if (!world().is_root()) return;
  const auto write = [&](const char* name) {
    ResultFile file(folder.path() / name);
    const auto& layout = federation.network.layout();
    file.write_header({.name = "n",
                       .label = "l",
                       .method = "m",
                       .config = "c",
                       .manifest = "{}",
                       .seed = 1,
                       .tested_on = "after-local"},
                      "data", rounds.size(), kClients, federation.network);
    file.write_rounds({.rounds = rounds.size(), .tensors = layout.tensors().size()},
                      federation.partition, [&](const auto& visit) {
                        for (const RoundRecord& round : rounds) visit(round);
                      });
    file.write_layout(layout);
    file.write_clients(federation.partition, federation.data);
    file.write_hosts(federation.simulation->rank_of_client());
    file.begin_masks(layout, kClients);
    for (int k = 0; k < kClients; ++k) file.add_row({});
    file.write_provenance("{}");
    file.commit();
  };
  write("one.h5");
  std::this_thread::sleep_for(std::chrono::seconds(1));  // another time stamp, if there were one
  write("two.h5");
  EXPECT_EQ(text_of(folder.path() / "one.h5"), text_of(folder.path() / "two.h5"));
}

}  // namespace
}  // namespace fedselect
