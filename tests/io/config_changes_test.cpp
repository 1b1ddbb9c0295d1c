#include "io/config_changes.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace fedselect {
namespace {

constexpr const char* kBefore = R"(
name = "a"
rounds = 10
[train]
lr = 0.1  # learning rate
schedule = "constant"
[evaluate]
every = 1
[[method]]
name = "fedselect"
rate = 0.25
)";

std::string changed(const std::string& from, const std::string& to) {
  std::string text = kBefore;
  return text.replace(text.find(from), from.size(), to);
}

std::string refusal(const std::string& after, int rounds, std::vector<std::string> allowed = {}) {
  try {
    require_resumable(kBefore, after, rounds, allowed, "runs/a");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(ConfigChanges, EqualConfigsHaveNone) {
  EXPECT_TRUE(compare_configs(kBefore, kBefore).empty());
  EXPECT_TRUE(
      compare_configs(kBefore, changed("0.1  # learning rate", "0.10 # other words")).empty());
}

TEST(ConfigChanges, NamesKeysWithTheirSectionAndBothValues) {
  const auto changes = compare_configs(kBefore, changed("rate = 0.25", "rate = 0.5\nlimit = 1.0"));
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].key, "method.limit");
  EXPECT_EQ(changes[0].before, "");
  EXPECT_EQ(changes[0].after, "1.0");
  EXPECT_EQ(changes[1].key, "method.rate");
  EXPECT_EQ(changes[1].before, "0.25");
  EXPECT_EQ(changes[1].after, "0.5");
}

TEST(ConfigChanges, SafeOnesNeedTheUsersWord) {
  EXPECT_EQ(refusal(kBefore, 5), "");
  const auto more = changed("rounds = 10", "rounds = 20");
  EXPECT_EQ(refusal(more, 5),
            "runs/a: can't go on with this config:\n  rounds was 10, is 20: say "
            "--allow-change rounds if that is meant");
  EXPECT_EQ(refusal(more, 5, {"rounds"}), "");
  EXPECT_EQ(refusal(changed("every = 1", "every = 2"), 5, {"evaluate.every"}), "");
  const auto moved = changed("[train]", "[data]\npath = \"b\"\n[train]");
  EXPECT_EQ(refusal(moved, 5, {"data.path"}), "");
}

TEST(ConfigChanges, OthersAreRefusedWhateverTheUserSays) {
  EXPECT_NE(refusal(changed("lr = 0.1", "lr = 0.2"), 5, {"train.lr"})
                .find("train.lr was 0.1, is 0.2: can't change within a run"),
            std::string::npos);
  EXPECT_NE(refusal(changed("rounds = 10", "rounds = 4"), 5, {"rounds"})
                .find("it can't be less than the 5 that have begun"),
            std::string::npos);
  auto cosine = changed("rounds = 10", "rounds = 20");
  EXPECT_NE(
      refusal(cosine.replace(cosine.find("constant"), 8, "cosine"), 5, {"rounds", "train.schedule"})
          .find("the cosine schedule"),
      std::string::npos);
}

TEST(ConfigChanges, AConfigThatIsNoTomlIsRefused) {
  EXPECT_THROW(compare_configs("[", kBefore), InputError);
}

}  // namespace
}  // namespace fedselect
