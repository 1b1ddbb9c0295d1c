#include "io/config.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.hpp"

namespace fedselect {
namespace {

constexpr const char* kGood = R"(name = "a"
seed = 7
rounds = 3
[data]
path = "somewhere"
clients = 4
[train]
passes = 2
lr = 0.1
[[method]]
name = "fedselect"
rate = 0.5
[[method]]
name = "fedavg"
label = "mean"
passes = 3
)";

/// The message with which a config is refused; empty if it is taken.
std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_config(text, "a.toml", overrides);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, TakesValuesAndDefaults) {
  const Config config = parse_config(kGood, "a.toml", {});
  EXPECT_EQ(config.name, "a");
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.rounds, 3);
  EXPECT_EQ(config.data.path, "somewhere");
  EXPECT_EQ(config.data.clients, 4);
  EXPECT_EQ(config.train.lr, 0.1);
  EXPECT_EQ(config.train.batch, TrainConfig{}.batch);
  EXPECT_TRUE(config.output.masks);
  ASSERT_EQ(config.methods.size(), 2U);
  EXPECT_EQ(config.methods[0].label, "fedselect");
  EXPECT_EQ(config.methods[0].passes, 0);
  EXPECT_EQ(config.methods[1].label, "mean");
  EXPECT_EQ(config.methods[1].passes, 3);
}

struct Mistake {
  const char* name;
  std::string text;
  std::vector<std::string> fragments;  ///< all of them are in the message
};

class RefusedConfig : public ::testing::TestWithParam<Mistake> {};

TEST_P(RefusedConfig, SaysWhereAndWhat) {
  const std::string message = refusal(GetParam().text);
  ASSERT_NE(message, "") << "was taken";
  for (const std::string& fragment : GetParam().fragments)
    EXPECT_NE(message.find(fragment), std::string::npos) << fragment << "\nnot in\n" << message;
}

/// A config whose only flaw is in these lines, which begin at line 1.
std::string with_method(const std::string& lines) {
  return lines + "\n[[method]]\nname = \"fedavg\"\n";
}

INSTANTIATE_TEST_SUITE_P(
    EveryKind, RefusedConfig,
    ::testing::Values(
        Mistake{"typo_in_key",
                with_method("[train]\nbach = 3"),
                {"a.toml:2:1: train.bach: unknown key; did you mean train.batch?"}},
        Mistake{"long_form_of_key",
                with_method("[train]\n\n  learning_rate = 3"),
                {"a.toml:3:3: train.learning_rate: unknown key; did you mean train.lr?"}},
        Mistake{"key_with_unit",
                with_method("[train]\nbatch_size = 3"),
                {"a.toml:2:1: train.batch_size: unknown key; did you mean train.batch?"}},
        Mistake{"key_of_other_section",
                with_method("lr = 3"),
                {"a.toml:1:1: lr: unknown key; did you mean train.lr?"}},
        Mistake{"key_like_none",
                with_method("[federation]\nzzzzzz = 3"),
                {"a.toml:2:1: federation.zzzzzz: unknown key (there are participation, sampling, "
                 "new_clients)"}},
        Mistake{"key_of_method",
                "[[method]]\nname = \"fedselect\"\nrates = 1",
                {"a.toml:3:1: method.fedselect.rates: unknown key; did you mean "
                 "method.fedselect.rate?"}},
        Mistake{"key_of_other_method",
                "[[method]]\nname = \"fedavg\"\nscope = 1",
                {"a.toml:3:1: method.fedavg.scope: unknown key (there are passes, weighting, name, "
                 "label)"}},
        Mistake{"unknown_section",
                with_method("[trian]\nlr = 1"),
                {"a.toml:1:2: [trian]: unknown section; did you mean [train]?"}},
        Mistake{"key_of_another_partition",
                with_method("[data]\npartition = \"iid\"\nbeta = 0.5"),
                {"a.toml:3:1: data.beta: means something with partition = \"dirichlet\" or"}},
        Mistake{"shards_key_of_iid",
                with_method("[data]\npartition = \"iid\"\ntrain_per_class = 20"),
                {"a.toml:3:1: data.train_per_class: means something with partition = \"shards\""}},
        Mistake{"hidden_of_cnn",
                with_method("[model]\nname = \"cnn\"\nhidden = 20"),
                {"a.toml:3:1: model.hidden: only mlp has a hidden layer"}},
        Mistake{"norm_of_lenet5",
                with_method("[model]\nname = \"lenet5\"\nnorm = \"group\""),
                {"a.toml:3:1: model.norm: only the ResNets have norm layers"}},
        Mistake{"groups_of_batch_norm",
                with_method("[model]\nname = \"resnet8\"\ngroups = 4"),
                {"a.toml:3:1: model.groups: only group norm has groups"}},
        Mistake{"groups_that_dont_divide",
                with_method("[model]\nname = \"resnet20\"\nnorm = \"group\"\ngroups = 32"),
                {"a.toml:4:1: model.groups: must divide 16"}},
        Mistake{"stem_of_resnet8",
                with_method("[model]\nname = \"resnet8\"\nstem = \"imagenet\""),
                {"a.toml:3:1: model.stem: only resnet18 has two"}},
        Mistake{"clamp_with_threshold",
                "[[method]]\nname = \"fedselect\"\nlimit_rule = \"clamp\"\nties = \"threshold\"",
                {"a.toml:4:1: method.fedselect.ties: \"threshold\" takes all equal changes"}},
        Mistake{"plural_methods",
                "[[methods]]\nname = \"fedavg\"",
                {"[methods]: unknown section; did you mean [[method]]?", "has no [[method]]"}},
        Mistake{"section_like_none",
                with_method("[zzzzzz]\nlr = 1"),
                {"a.toml:1:2: [zzzzzz]: unknown section (there are method, data, model"}},
        Mistake{"section_is_number",
                with_method("train = 5"),
                {"a.toml:1:1: train: is 5, must be a section: write [train]"}},
        Mistake{"section_is_list",
                with_method("[[train]]\nlr = 5"),
                {"train: is a list, must be a section"}},
        Mistake{"text_for_integer",
                with_method("rounds = \"3\""),
                {"a.toml:1:1: rounds: is the text \"3\", must be a whole number"}},
        Mistake{"real_for_integer",
                with_method("rounds = 3.0"),
                {"a.toml:1:1: rounds: is 3.0, must be a whole number"}},
        Mistake{"text_for_real",
                with_method("[train]\nlr = \"0.1\""),
                {"a.toml:2:1: train.lr: is the text \"0.1\", must be a number"}},
        Mistake{"table_for_real",
                with_method("[train]\nlr = { start = 0.1 }"),
                {"a.toml:2:1: train.lr: is a table, must be a number"}},
        Mistake{"list_for_real",
                with_method("[train]\nlr = [0.1, 0.2]"),
                {"a.toml:2:1: train.lr: is a list, must be a number"}},
        Mistake{"number_for_flag",
                with_method("[output]\nmasks = 1"),
                {"a.toml:2:1: output.masks: is 1, must be true or false"}},
        Mistake{"number_for_text",
                with_method("[data]\npath = 1"),
                {"a.toml:2:1: data.path: is 1, must be a text in quotes"}},
        Mistake{"number_for_choice",
                with_method("[data]\npartition = 1"),
                {"a.toml:2:1: data.partition: is 1, must be one of shards, dirichlet, iid"}},
        Mistake{"too_small",
                with_method("rounds = 0"),
                {"a.toml:1:1: rounds: is 0, must be in [1, 2147483647]"}},
        Mistake{"negative_seed",
                with_method("seed = -1"),
                {"a.toml:1:1: seed: is -1, must be in [0, 9007199254740992]"}},
        Mistake{"seed_too_large", with_method("seed = 9007199254740994"), {"a.toml:1:1: seed: is"}},
        Mistake{"open_end",
                with_method("[train]\nmomentum = 1.0"),
                {"a.toml:2:1: train.momentum: is 1.0, must be in [0, 1)"}},
        Mistake{"open_begin",
                with_method("[train]\nlr = 0"),
                {"a.toml:2:1: train.lr: is 0, must be > 0"}},
        Mistake{"infinite",
                with_method("[train]\nlr = inf"),
                {"a.toml:2:1: train.lr: is inf, must be > 0"}},
        Mistake{"not_a_number",
                with_method("[train]\nlr = nan"),
                {"a.toml:2:1: train.lr: is nan, must be > 0"}},
        Mistake{"unknown_choice",
                with_method("[data]\npartition = \"shard\""),
                {"a.toml:2:1: data.partition: unknown value \"shard\"; did you mean \"shards\"? "
                 "(one of shards, dirichlet, iid, quantity, natural, "
                 "domain, file)"}},
        Mistake{"choice_like_none",
                with_method("[data]\npartition = \"zzzzzz\""),
                {"a.toml:2:1: data.partition: unknown value \"zzzzzz\" (one of shards"}},
        Mistake{"failed_check",
                with_method("[data]\npath = \"\""),
                {"a.toml:2:1: data.path: is empty"}},
        Mistake{"name_leaves_folder",
                with_method("name = \"../up\""),
                {"a.toml:1:1: name: names a folder"}},
        Mistake{
            "name_is_option", with_method("name = \"-rf\""), {"a.toml:1:1: name: names a folder"}},
        Mistake{
            "name_is_hidden", with_method("name = \".\""), {"a.toml:1:1: name: names a folder"}},
        Mistake{"name_is_empty", with_method("name = \"\""), {"a.toml:1:1: name: names a folder"}},
        Mistake{"label_leaves_folder",
                "[[method]]\nname = \"fedavg\"\nlabel = \"a/b\"",
                {"a.toml:3:1: method.label: names a folder"}},
        Mistake{"no_method", "rounds = 3", {"a.toml: has no [[method]]"}},
        Mistake{"no_method_but_empty", "", {"a.toml: has no [[method]]"}},
        Mistake{"method_is_table",
                "[method]\nname = \"fedavg\"",
                {"a.toml:1:2: method: must be a list of tables: write [[method]]"}},
        Mistake{"methods_are_texts",
                "method = [\"fedavg\"]",
                {"a.toml:1:1: method: must be a list of tables: write [[method]]"}},
        Mistake{"method_without_name",
                "[[method]]\npasses = 2",
                {"a.toml:1:1: method.name: is missing: add name = one of fedselect-ltn, "}},
        Mistake{"unknown_method",
                "[[method]]\nname = \"fedselct\"",
                {"a.toml:2:1: method.name: unknown value \"fedselct\"; did you mean \"fedselect\"?",
                 "(one of fedselect-ltn, "}},
        Mistake{"two_labels",
                "[[method]]\nname = \"fedavg\"\n[[method]]\nname = \"local\"\nlabel = \"fedavg\"",
                {"a.toml:3:1: method.label: \"fedavg\" is the label of the method in line 1 too",
                 "label = \"fedavg-2\""}},
        Mistake{"fedrep_one_pass",
                "[train]\npasses = 1\n[[method]]\nname = \"fedrep\"",
                {"a.toml:3:1: method.fedrep.passes: fedrep needs 2 passes or more"}},
        Mistake{"fedrep_own_pass",
                "[[method]]\nname = \"fedrep\"\npasses = 1",
                {"a.toml:3:1: method.fedrep.passes: fedrep needs 2 passes or more"}},
        Mistake{"syntax", "rounds = 3\nseed = \n", {"a.toml:2:", "not TOML: "}},
        Mistake{"key_twice", "rounds = 3\nrounds = 4\n", {"a.toml:2:", "not TOML: "}}),
    [](const auto& mistake) { return mistake.param.name; });

TEST(Config, ReportsAllProblemsByLine) {
  const std::string message = refusal(
      "seed = -1\nname = \"x y\"\n[[method]]\nname = \"fedselect\"\nrate = 2\nlimt = 1\n"
      "[train]\nlr = -1\nbatch = 0\n[nosuch]\n",
      {"train.momentum=2", "data.client=3"});
  std::size_t last = 0;
  for (const char* line :
       {"9 problems", "a.toml:1:1: seed", "a.toml:2:1: name", "a.toml:5:1: method.fedselect.rate",
        "a.toml:6:1: method.fedselect.limt", "a.toml:8:1: train.lr", "a.toml:9:1: train.batch",
        "a.toml:10:2: [nosuch]", "--set train.momentum=2: train.momentum: is 2",
        "--set data.client=3: data.client: unknown key; did you mean data.clients?"}) {
    const std::size_t at = message.find(line);
    ASSERT_NE(at, std::string::npos) << line << "\nnot in\n" << message;
    EXPECT_GE(at, last) << line << "\ntoo early in\n" << message;
    last = at;
  }
}

TEST(Config, ReportsAnUnreadableFile) {
  for (const char* path : {"/no/such/file.toml", "/"}) try {
      read_config(path, {});
      ADD_FAILURE() << path << " was read";
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(std::string(path) + ": can't be read"),
                std::string::npos)
          << error.what();
    }
}

TEST(Config, WrittenAndReadAgainIsTheSame) {
  const Config config = parse_config(kGood, "a.toml", {"train.lr=0.1", "train.weight_decay=1e-7"});
  for (std::size_t method = 0; method < config.methods.size(); ++method) {
    const std::string text = write_config(config, method);
    const Config again = parse_config(text, "written.toml", {});
    ASSERT_EQ(again.methods.size(), 1U);
    EXPECT_EQ(write_config(again, 0), text);
    EXPECT_EQ(again.methods[0].label, config.methods[method].label);
    EXPECT_EQ(again.methods[0].passes, config.methods[method].passes);
  }
}

TEST(Config, KnowsWhereItsKeysStand) {
  const Config config = parse_config(kGood, "a.toml", {"data.beta=2", "data.partition=dirichlet"});
  const auto text = [&](const char* key) { return config.locate(KeyError(key, "is wrong")); };
  EXPECT_EQ(text("data.clients"), "a.toml:6:1: is wrong");
  EXPECT_EQ(text("data.beta"), "--set data.beta=2: is wrong");
  EXPECT_EQ(text("data.min_samples"), "a.toml:4:1: is wrong");  // its section
  EXPECT_EQ(text("model.name"), "a.toml: is wrong");            // no section
}

TEST(Config, ResolvedConfigLeavesOutWhatMeansNothing) {
  const Config config = parse_config(kGood, "a.toml", {"data.partition=iid"});
  const std::string text = write_config(config, 0);
  EXPECT_EQ(text.find("\nbeta ="), std::string::npos);
  EXPECT_EQ(text.find("\nclasses_per_client ="), std::string::npos);
  EXPECT_NE(text.find("\npartition = \"iid\""), std::string::npos);
}

TEST(Config, NumbersAndTextsSurviveWriting) {
  for (const double lr : {0.1, 1.0, 1e-300, 1.7976931348623157e308, 5e-324, 0.30000000000000004,
                          123456789.125, 1e22}) {
    Config config = parse_config(kGood, "a.toml", {});
    config.train.lr = lr;
    config.data.path = "a\"b\\c\n\t\x7f d/\xc3\xa4";
    config.seed = 9007199254740992;
    const Config again = parse_config(write_config(config, 0), "written.toml", {});
    EXPECT_EQ(again.train.lr, lr);
    EXPECT_EQ(again.data.path, config.data.path);
    EXPECT_EQ(again.seed, config.seed);
  }
}

TEST(Config, OverridesBeatTheFile) {
  const Config config = parse_config(
      kGood, "a.toml",
      {"train.lr=0.5", "train.lr=0.25", "name=b", "data.path=/x/y z", "data.partition=iid",
       "train.shuffle=false", "rounds=9", "method.passes=4", "method.mean.passes=5"});
  EXPECT_EQ(config.train.lr, 0.25);  // the later one
  EXPECT_EQ(config.name, "b");
  EXPECT_EQ(config.data.path, "/x/y z");
  EXPECT_EQ(config.data.partition, PartitionKind::iid);
  EXPECT_FALSE(config.train.shuffle);
  EXPECT_EQ(config.rounds, 9);
  EXPECT_EQ(config.methods[0].passes, 4);
  EXPECT_EQ(config.methods[1].passes, 5);
}

TEST(Config, OverridesOfTextsNeedNoQuotes) {
  EXPECT_EQ(parse_config(kGood, "a.toml", {"name=2024-01-01"}).name, "2024-01-01");
  EXPECT_EQ(parse_config(kGood, "a.toml", {"name=5"}).name, "5");
  EXPECT_EQ(parse_config(kGood, "a.toml", {"name=\"q\""}).name, "q");
}

TEST(Config, OverridesReachMethodsByLabel) {
  const std::string two = R"([[method]]
name = "fedselect"
label = "p-0.25"
[[method]]
name = "fedselect"
label = "p-0.5"
)";
  const Config config = parse_config(two, "a.toml", {"method.rate=0.125", "method.p-0.5.rate=0.5"});
  EXPECT_NE(write_config(config, 0).find("rate = 0.125 "), std::string::npos);
  EXPECT_NE(write_config(config, 1).find("rate = 0.5 "), std::string::npos);
}

TEST(Config, BadOverridesNameThemselves) {
  EXPECT_NE(refusal(kGood, {"rounds"}).find("--set rounds: is not of the form key=value"),
            std::string::npos);
  EXPECT_NE(refusal(kGood, {"=5"}).find("--set =5: is not of the form key=value"),
            std::string::npos);
  EXPECT_NE(refusal(kGood, {"lr=5"}).find("--set lr=5: lr: unknown key; did you mean train.lr?"),
            std::string::npos);
  EXPECT_NE(refusal(kGood, {"rounds=0.5.1"})
                .find("--set rounds=0.5.1: rounds: is the text \"0.5.1\", must be a whole number"),
            std::string::npos);
  EXPECT_NE(refusal(kGood, {"method.rat=1"}).find("did you mean method.rate?"), std::string::npos);
  EXPECT_NE(refusal(kGood, {"trian.lr=1"}).find("did you mean train.lr?"), std::string::npos);
  EXPECT_NE(refusal(kGood, {"method.fedselct.rate=1"}).find("did you mean method.fedselect.rate?"),
            std::string::npos);
  EXPECT_NE(refusal(kGood, {"method.mean.rate=1"}).find("--set method.mean.rate=1"),
            std::string::npos);
  EXPECT_NE(refusal(kGood, {"rounds=4\nseed=3"}).find("rounds: is the text"), std::string::npos);
}

TEST(Config, DocumentsEveryKey) {
  const std::string sections = describe_sections();
  for (const char* key : {"name = \"run\"", "rounds = 100", "[train]", "lr = 0.05", "> 0",
                          "one of \"shards\", \"dirichlet\"", "masks = true"})
    EXPECT_NE(sections.find(key), std::string::npos) << key << "\nnot in\n" << sections;
  for (const Method& method : methods()) {
    const std::string keys = describe_method(method);
    EXPECT_NE(keys.find("passes = 0"), std::string::npos) << method.name;
    EXPECT_NE(keys.find("label = \"" + std::string(method.name) + "\""), std::string::npos);
  }
}

}  // namespace
}  // namespace fedselect
