#include "scaling/study.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "scaling/scaling_file.hpp"

namespace fedselect {
namespace {

const std::string kWhole =
    "name = \"s\"\n"
    "config = \"../experiment.toml\"\n"
    "values = [1, 2, 4]\n";

std::string message_of(const std::string& text) {
  try {
    parse_study(text, "studies/s.toml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

void expect_refusal(const std::string& more, const std::string& said) {
  const std::string message = message_of(kWhole + more);
  EXPECT_NE(message.find(said), std::string::npos) << message;
}

TEST(Study, DefaultsAndThePathOfItsExperiment) {
  const auto study = parse_study(kWhole, "studies/s.toml");
  EXPECT_EQ(study.config, "experiment.toml");
  EXPECT_EQ(study.over, ScalingOver::ranks);
  EXPECT_EQ(study.kind, ScalingKind::strong);
  EXPECT_EQ(study.values, (std::vector<std::int64_t>{1, 2, 4}));
  EXPECT_EQ(study.text, kWhole);
}

TEST(Study, Refusals) {
  expect_refusal("valeus = 3\n", "studies/s.toml:4:1: valeus: unknown key; did you mean values?");
  expect_refusal("over = \"rank\"\n", "s.toml:4:1: over: unknown value \"rank\"");
  expect_refusal("kind = \"weak\"\n", "clients_per_rank: is missing");
  expect_refusal("clients_per_rank = 2\n", "s.toml:4:1: clients_per_rank: only weak scaling has");
  expect_refusal("over = \"clients\"\nkind = \"weak\"\n",
                 "s.toml:5:1: kind: only over = \"ranks\"");
  expect_refusal("over = \"parameters\"\n", "key: is missing");
  expect_refusal("key = \"model.hidden\"\n", "s.toml:4:1: key: only over = \"parameters\"");
  expect_refusal("repeats = 0\n", "s.toml:4:1: repeats: is 0, must be in [1, 2147483647]");
  expect_refusal("rounds = \"many\"\n", "rounds: is the text \"many\", must be a whole number");
  expect_refusal("[data]\nclients = 4\n", "data: unknown key");
  expect_refusal("values", "not TOML");
}

TEST(Study, RefusesWhatIsMissingAndWrongValues) {
  EXPECT_NE(message_of("config = \"e\"\nvalues = [1]").find("name: names a folder"),
            std::string::npos);
  EXPECT_NE(message_of("name = \"s\"\nvalues = [1]").find("config: is missing"), std::string::npos);
  const std::string head = "name = \"s\"\nconfig = \"e\"\n";
  EXPECT_NE(message_of(head).find("values: is missing"), std::string::npos);
  EXPECT_NE(message_of(head + "values = [2, 2]").find("values: must ascend"), std::string::npos);
  EXPECT_NE(message_of(head + "values = [0, 2]").find("values: has 0, each must be"),
            std::string::npos);
  EXPECT_NE(message_of(head + "values = 2").find("values: is 2, must be a list"),
            std::string::npos);
}

TEST(Study, PointsOverRanks) {
  auto study =
      parse_study(kWhole + "kind = \"weak\"\nclients_per_rank = 3\nset = [\"seed=4\"]\n", "s.toml");
  const auto points = points_of(study, 4);
  ASSERT_EQ(points.size(), 3);
  EXPECT_EQ(points[1].ranks, 2);
  EXPECT_EQ(points[1].overrides,
            (std::vector<std::string>{"seed=4", "rounds=7", "data.clients=6"}));
  EXPECT_EQ(point_of(study, 2, 2).ranks, 2);
  EXPECT_THROW(points_of(study, 3), InputError);
  EXPECT_THROW(point_of(study, 3, 4), InputError);
}

TEST(Study, PointsOverParameters) {
  const auto study =
      parse_study(kWhole + "over = \"parameters\"\nkey = \"model.hidden\"\n", "s.toml");
  const auto points = points_of(study, 2);
  EXPECT_EQ(points[2].ranks, 2);
  EXPECT_EQ(points[2].overrides.back(), "model.hidden=4");
}

TEST(ScalingFile, ComesBackAsItWasWritten) {
  auto study = parse_study(kWhole, "s.toml");
  study.rounds = 1;
  study.warmup = 1;
  study.repeats = 2;
  std::vector<MeasuredPoint> points;
  for (int ranks = 1; ranks <= 2; ++ranks) {
    MeasuredRound round{.ranks = {}, .reduced = 10 * ranks, .needed = ranks, .flops = 0.5};
    round.ranks.resize(static_cast<std::size_t>(ranks));
    for (RankRecord& rank : round.ranks) rank.seconds.fill(ranks);
    points.push_back({.value = ranks,
                      .ranks = ranks,
                      .clients = 7,
                      .parameters = 9,
                      .config = "c",
                      .manifest = "m",
                      .repeats = {2, {.warmup = {0.25}, .rounds = {round}}}});
  }
  const auto path = std::filesystem::temp_directory_path() / "scaling_file_test.h5";
  write_scaling(path, study, points);
  const auto read = read_scaling(path, study);
  ASSERT_EQ(read.size(), 2);
  EXPECT_EQ(read[1].ranks, 2);
  EXPECT_EQ(read[1].parameters, 9);
  EXPECT_EQ(read[1].config, "c");
  ASSERT_EQ(read[1].repeats.size(), 2);
  EXPECT_EQ(read[1].repeats[0].warmup, (std::vector{0.25}));
  EXPECT_EQ(read[0].repeats[1].rounds[0].ranks.size(), 1);
  EXPECT_EQ(read[1].repeats[1].rounds[0].ranks[1].seconds,
            points[1].repeats[1].rounds[0].ranks[1].seconds);
  EXPECT_EQ(read[1].repeats[1].rounds[0].reduced, 20);
  study.text += "# changed";
  EXPECT_THROW(read_scaling(path, study), InputError);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace fedselect
