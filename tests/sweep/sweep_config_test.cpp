#include "sweep/sweep_config.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.hpp"
#include "files/scratch_folder.hpp"

namespace fedselect::sweep {
namespace {

using testing::message_of;
using testing::ScratchFolder;
using testing::write_bytes;

const std::string kTop = "name = \"s\"\nexperiment = \"e.toml\"\n";

SweepConfig read(const std::string& text) {
  const ScratchFolder folder;
  write_bytes(folder / "s.toml", text);
  return read_sweep(folder / "s.toml");
}

/// What is wrong with a file, after its path.
std::string problem(const std::string& text) {
  const auto message = message_of<InputError>([&] { read(text); });
  const std::string file = "s.toml:";
  const auto begin = message.find(file);
  return begin == std::string::npos ? message : message.substr(begin + file.size());
}

TEST(SweepConfig, ReadsAllThatAFileCanSay) {
  const SweepConfig sweep = read(kTop + R"(methods = ["fedavg"]
seeds = [3, 1]
metric = "worst-accuracy"
[search]
kind = "latin-hypercube"
points = 12
seed = 5
[halving]
first_rounds = 4
factor = 2
wait = false
[[parameter]]
key = "train.optimizer"
values = ["sgd", "adam"]
[[parameter]]
key = "train.lr"
low = 0.001
high = 1
scale = "log"
when = { key = "train.optimizer", is = ["sgd"] }
[[parameter]]
key = "model.hidden"
low = 10
high = 20
whole = true
)");
  EXPECT_EQ(sweep.methods, std::vector<std::string>{"fedavg"});
  EXPECT_EQ(sweep.seeds, (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(sweep.metric, Metric::worst_accuracy);
  EXPECT_EQ(sweep.search, Search::latin_hypercube);
  EXPECT_EQ(sweep.points, 12);
  EXPECT_EQ(sweep.seed, 5);
  EXPECT_EQ(sweep.halving.first, 4);
  EXPECT_EQ(sweep.halving.factor, 2);
  EXPECT_FALSE(sweep.halving.waits);
  ASSERT_EQ(sweep.parameters.size(), 3);
  EXPECT_EQ(sweep.parameters[0].values, (std::vector<std::string>{"\"sgd\"", "\"adam\""}));
  EXPECT_TRUE(sweep.parameters[1].log);
  EXPECT_EQ(sweep.parameters[1].condition, 0);
  EXPECT_EQ(sweep.parameters[1].condition_values, std::vector<std::string>{"\"sgd\""});
  EXPECT_TRUE(sweep.parameters[2].whole);
  EXPECT_NE(sweep.experiment.find("/e.toml"), std::string::npos);  // beside the sweep's file
}

TEST(SweepConfig, EveryProblemIsNamedWithItsLine) {
  const std::string parameter = kTop + "[[parameter]]\nkey = \"train.lr\"\n";
  EXPECT_NE(problem("experiment = \"e\"").find("name: names a folder"), std::string::npos);
  EXPECT_NE(problem("name = \"s\"").find("experiment: is missing"), std::string::npos);
  EXPECT_EQ(problem(kTop + "seads = [1]").find("3:1: seads: unknown key; did you mean seeds?"), 0);
  EXPECT_EQ(problem(kTop + "seeds = [1, 1]").find("3:1: seeds: 1: must be whole numbers"), 0);
  EXPECT_EQ(problem(kTop + "seeds = 1").find("3:1: seeds: is 1, must be a list"), 0);
  EXPECT_EQ(problem(parameter + "low = 1\nhigh = 2\n[search]\nkind = \"random\"")
                .find("7:1: search.points: is missing"),
            0);
  EXPECT_EQ(problem(kTop + "[search]\npoints = 3").find("4:1: search.points: a grid has as many"),
            0);
  EXPECT_EQ(problem(kTop + "[halving]\nfirst_rounds = 2\nfactor = 1")
                .find("5:1: halving.factor: is 1, must be"),
            0);
  EXPECT_EQ(problem(kTop + "parameter = 3").find("3:1: parameter: must be a list of tables"), 0);
  EXPECT_EQ(problem(parameter).find("3:1: parameter.high: must be above low"), 0);
  EXPECT_EQ(problem(parameter + "values = [[1]]").find("5:1: parameter.values: is a list"), 0);
  EXPECT_EQ(problem(parameter + "values = [1]\nlow = 2").find("6:1: parameter.low: means nothing"),
            0);
  EXPECT_EQ(problem(parameter + "low = 1\nhigh = 2").find("3:1: parameter.points: is missing"), 0);
  EXPECT_EQ(problem(parameter + "low = 0\nhigh = 2\npoints = 3\nscale = \"log\"")
                .find("5:1: parameter.low: must be above 0"),
            0);
  EXPECT_EQ(problem(parameter + "values = [1]\nwhen = 3").find("6:8: parameter.when: must say"), 0);
  EXPECT_EQ(problem(parameter + "values = [1]\nwhen = { key = \"x\", is = [1] }")
                .find("6:10: parameter.when.key: \"x\" is no parameter above"),
            0);
  EXPECT_EQ(
      problem(parameter + "values = [0, 0.9]\n[[parameter]]\nkey = \"train.batch\"\nvalues = [8]\n"
                          "when = { key = \"train.lr\", is = [0.9, 0.0] }")
          .find("9:28: parameter.when.is: train.lr is never 0.0: its values are 0, 0.9"),
      0);
  EXPECT_EQ(problem(parameter + "values = [1]\n[[parameter]]\nkey = \"train.lr\"\nvalues = [1]")
                .find("7:1: parameter.key: train.lr is varied by an earlier"),
            0);
  EXPECT_EQ(problem(kTop + "[[parameter]]\nkey = \"seed\"\nvalues = [1]")
                .find("4:1: parameter.key: the sweep sets it itself"),
            0);
}

TEST(SweepConfig, ASearchNeedsSomethingToDraw) {
  for (const char* kind : {"random", "sobol", "latin-hypercube"})
    EXPECT_EQ(problem(fmt::format("{}[search]\nkind = \"{}\"\npoints = 4", kTop, kind))
                  .find("4:1: search.kind: there is no [[parameter]] to draw"),
              0)
        << kind;
}

TEST(SweepConfig, WholeNumbersLieBetweenWholeNumbers) {
  const auto whole = [](const char* range) {
    return problem(fmt::format(
        "{}[[parameter]]\nkey = \"train.passes\"\npoints = 3\nwhole = true\n{}", kTop, range));
  };
  EXPECT_EQ(whole("low = 0.5\nhigh = 4").find("7:1: parameter.low: must be a whole number"), 0);
  EXPECT_EQ(whole("low = 1\nhigh = 4.5").find("8:1: parameter.high: must be a whole number"), 0);
  EXPECT_EQ(whole("low = 1\nhigh = 1e17").find("8:1: parameter.high: must be a whole number"), 0);
  EXPECT_EQ(whole("scale = \"log\"\nlow = 0\nhigh = 4").find("8:1: parameter.low: must be above 0"),
            0);
}

TEST(SweepConfig, AConditionOnARangeMustBeAbleToHold) {
  const auto condition = [](const char* search, const char* range, const char* is) {
    return fmt::format(
        "{}{}[[parameter]]\nkey = \"a\"\nlow = 1\nhigh = 3\n{}\n[[parameter]]\nkey = "
        "\"b\"\nvalues = [1]\nwhen = {{ key = \"a\", is = [{}] }}\n",
        kTop, search, range, is);
  };
  const char* random = "[search]\nkind = \"random\"\npoints = 4\n";
  EXPECT_NE(problem(condition(random, "", "2"))
                .find("parameter.when.is: a draw of a is hardly ever exactly 2: give a values, or "
                      "whole = true"),
            std::string::npos);
  EXPECT_EQ(problem(condition(random, "whole = true", "2, 3")), "");
  EXPECT_NE(problem(condition(random, "whole = true", "4"))
                .find("parameter.when.is: a is never 4: it is a whole number from 1 to 3"),
            std::string::npos);
  EXPECT_EQ(problem(condition("", "points = 5", "1.5, 3.0")), "");
  EXPECT_NE(problem(condition("", "points = 5", "3"))
                .find("a is never 3: its values are 1.0, 1.5, 2.0, 2.5, 3.0, written so"),
            std::string::npos);
  EXPECT_NE(problem(condition("", "points = 101", "5"))
                .find("1.0, 1.02, 1.04, 1.06, 1.08, 1.1, ..., written so"),
            std::string::npos);
}

TEST(SweepConfig, ThereAreNoMorePointsThanTrials) {
  EXPECT_EQ(problem(kTop + "[search]\nkind = \"random\"\npoints = 1000001\n[[parameter]]\nkey = "
                           "\"a\"\nlow = 0\nhigh = 1")
                .find("5:1: search.points: is 1000001, must be"),
            0);
  EXPECT_EQ(problem(kTop + "[[parameter]]\nkey = \"a\"\nlow = 0\nhigh = 1\npoints = 1000001")
                .find("7:1: parameter.points: is 1000001, must be"),
            0);
}

}  // namespace
}  // namespace fedselect::sweep
