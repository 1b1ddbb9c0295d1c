#include "data/data_config.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace fedselect {
namespace {

/// Notes what a section declares.
class Declarations final : public Fields {
 public:
  void integer(std::string_view key, std::int64_t& value, const Interval& range,
               std::string_view meaning) override {
    note(key, meaning);
    EXPECT_TRUE(range.contains(static_cast<double>(value))) << key << ": default not permitted";
    ranges[std::string(key)] = range;
  }
  void real(std::string_view key, double& value, const Interval& range,
            std::string_view meaning) override {
    note(key, meaning);
    EXPECT_TRUE(range.contains(value)) << key << ": default not permitted";
    ranges[std::string(key)] = range;
  }
  void flag(std::string_view key, bool& /*value*/, std::string_view meaning) override {
    note(key, meaning);
  }
  void text(std::string_view key, std::string& /*value*/, std::string_view meaning) override {
    note(key, meaning);
  }
  void texts(std::string_view /*key*/, std::vector<std::string>& /*values*/,
             std::string_view /*meaning*/) override {}
  void choice_index(std::string_view key, std::size_t& index,
                    std::span<const std::string_view> names, std::string_view meaning) override {
    note(key, meaning);
    EXPECT_LT(index, names.size()) << key;
  }
  void applies(bool /*holds*/, std::string_view /*key*/, std::string_view /*message*/) override {}
  void check(bool holds, std::string_view key, std::string_view /*message*/) override {
    if (!holds) violated.emplace_back(key);
  }

  std::vector<std::string> keys;
  std::map<std::string, Interval> ranges;
  std::vector<std::string> violated;

 private:
  void note(std::string_view key, std::string_view meaning) {
    keys.emplace_back(key);
    EXPECT_FALSE(meaning.empty()) << key;
    EXPECT_EQ(meaning.find('\n'), std::string_view::npos) << key << ": one line";
  }
};

TEST(DataConfig, DeclaresItsKeysAndPermitsItsDefaults) {
  DataConfig config;
  Declarations fields;
  describe(config, fields);
  EXPECT_EQ(fields.keys,
            (std::vector<std::string>{"path", "clients", "partition", "classes_per_client",
                                      "train_per_class", "test_per_class", "beta", "min_samples"}));
  EXPECT_TRUE(fields.violated.empty());
}

TEST(DataConfig, RefusesWhatMakesNoSense) {
  DataConfig config;
  config.path.clear();
  Declarations fields;
  describe(config, fields);
  EXPECT_EQ(fields.violated, std::vector<std::string>{"path"});
  EXPECT_FALSE(fields.ranges["clients"].contains(0));
  EXPECT_FALSE(fields.ranges["classes_per_client"].contains(0));
  EXPECT_FALSE(fields.ranges["train_per_class"].contains(-1));
  EXPECT_TRUE(fields.ranges["train_per_class"].contains(0));
  EXPECT_FALSE(fields.ranges["beta"].contains(0));
  EXPECT_FALSE(fields.ranges["min_samples"].contains(0));
}

}  // namespace
}  // namespace fedselect
