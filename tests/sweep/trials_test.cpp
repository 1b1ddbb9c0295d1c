#include "sweep/trials.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "files/scratch_folder.hpp"
#include "model/network.hpp"

namespace fedselect::sweep {
namespace {

using testing::ScratchFolder;
using testing::write_bytes;

/// The plan of a grid over one key.
Plan plan_over(const std::string& data, std::string key, std::vector<std::string> values) {
  const ScratchFolder folder;
  write_bytes(folder / "e.toml",
              fmt::format("name = \"e\"\nrounds = 2\n[data]\n{}\n[model]\nname = \"mlp\"\n"
                          "[[method]]\nname = \"fedavg\"\n",
                          data));
  SweepConfig sweep;
  sweep.name = "s";
  sweep.experiment = folder / "e.toml";
  Parameter parameter;
  parameter.key = std::move(key);
  parameter.values = std::move(values);
  sweep.parameters = {parameter};
  return make_plan(sweep);
}

TEST(Trials, MoreClientsAreMoreWorkUnlessTheyShareOneDataSetOut) {
  const auto ratio = [](const std::string& data) {
    const Plan plan = plan_over(data, "data.clients", {"10", "40"});
    return plan.trials[1].work / plan.trials[0].work;
  };
  EXPECT_EQ(ratio("partition = \"iid\""), 1);
  EXPECT_EQ(ratio("partition = \"shards\""), 1);
  EXPECT_EQ(ratio("partition = \"shards\"\ntrain_per_class = 5"), 4);
}

TEST(Trials, WorkIsWhatTheNetworkCosts) {
  const ops::ImageShape image{.height = 28, .width = 28, .channels = 1};
  Plan plan = plan_over("", "model.name", {"\"logistic\"", "\"resnet8\"", "\"mlp\""});
  const double samples = plan.trials[0].work;
  weigh_models(plan, image, 10);
  for (const std::size_t trial : {0U, 1U, 2U})
    EXPECT_EQ(plan.trials[trial].work,
              samples * Network(plan.trials[trial].model, image, 10).training_flops());
  EXPECT_GT(plan.trials[1].work, 10 * plan.trials[0].work);
}

TEST(Trials, ANetworkThatCannotBeIsNoWork) {
  Plan plan = plan_over("", "model.name", {"\"lenet5\"", "\"mlp\""});
  weigh_models(plan, {.height = 2, .width = 2, .channels = 1}, 10);
  EXPECT_EQ(plan.trials[0].work, 0);
  EXPECT_GT(plan.trials[1].work, 0);
}

}  // namespace
}  // namespace fedselect::sweep
