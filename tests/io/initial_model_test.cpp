#include "io/initial_model.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.hpp"

namespace fedselect {
namespace {

constexpr std::uint64_t kSeed = 3;
const ops::ImageShape kImage{.height = 6, .width = 6, .channels = 1};

Network make_mlp(int classes = 4) {
  return {{.name = ModelKind::mlp, .hidden = 5}, kImage, classes};
}

/// Every tensor of a network, filled with numbers that count on.
std::vector<FloatTensor> counting_tensors(const Network& network) {
  std::vector<FloatTensor> tensors;
  float next = 1;
  for (const Tensor& tensor : network.layout().tensors()) {
    tensors.push_back({tensor.name, {tensor.shape.begin(), tensor.shape.end()}, {}});
    for (std::size_t i = 0; i < tensor.size(); ++i) tensors.back().values.push_back(next++);
  }
  return tensors;
}

std::string refusal(const std::vector<FloatTensor>& tensors) {
  try {
    fill_initial_model(tensors, "f.safetensors", make_mlp(), kSeed);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(InitialModel, TakesTensorsByName) {
  const Network network = make_mlp();
  auto tensors = counting_tensors(network);
  std::swap(tensors[0], tensors[3]);  // order doesn't matter
  const auto model = fill_initial_model(tensors, "f.safetensors", network, kSeed);
  EXPECT_EQ(model.note, "initial model from f.safetensors");
  ASSERT_EQ(model.values.size(), network.layout().padded_size());
  AlignedVector<float> expected(model.values.size(), 0.0F);
  float next = 1;
  for (const auto& range : network.layout().ranges())
    for (std::size_t i = 0; i < range.size; ++i) expected[range.begin + i] = next++;
  EXPECT_EQ(model.values, expected);
}

TEST(InitialModel, TheSeedFillsAHeadForOtherClasses) {
  const Network network = make_mlp();
  const auto model =
      fill_initial_model(counting_tensors(make_mlp(7)), "f.safetensors", network, kSeed);
  EXPECT_NE(model.note.find("head is for 7 classes, not 4"), std::string::npos) << model.note;
  const auto seeded = network.initial_parameters(kSeed);
  const auto& ranges = network.layout().ranges();
  EXPECT_EQ(model.values[0], 1.0F);
  for (std::size_t i = ranges[2].begin; i < seeded.size(); ++i)
    EXPECT_EQ(model.values[i], seeded[i]) << i;
}

TEST(InitialModel, ListsAllThatIsWrong) {
  auto tensors = counting_tensors(make_mlp());
  tensors[0].shape = {36, 5};
  tensors[1].name = "fc1.offset";
  tensors[3].values[2] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(refusal(tensors),
            "f.safetensors: does not fit the model: fc1.weight is (36, 5), not (5, 36); fc1.bias "
            "(5) is missing; fc2.bias has values that are not finite; \"fc1.offset\" (5) is "
            "unknown: name a file of the same model, or choose the model that it is of");
}

TEST(InitialModel, AHeadForOtherClassesExcusesNothingElse) {
  auto tensors = counting_tensors(make_mlp(7));
  tensors.pop_back();  // fc2.bias
  EXPECT_NE(refusal(tensors).find("fc2.weight is (7, 5), not (4, 5)"), std::string::npos);
  tensors = counting_tensors(make_mlp(7));
  tensors.back() = counting_tensors(make_mlp()).back();  // 7 classes in the weight, 4 in the bias
  EXPECT_NE(refusal(tensors).find("fc2.weight is (7, 5), not (4, 5)"), std::string::npos);
  tensors = counting_tensors(make_mlp(7));
  tensors.push_back({"extra", {1}, {1}});
  EXPECT_NE(refusal(tensors).find("\"extra\" (1) is unknown"), std::string::npos);
}

TEST(InitialModel, AForeignFileGivesAMessageOfBoundedLength) {
  std::vector<FloatTensor> tensors;
  for (int i = 0; i < 10000; ++i) tensors.push_back({std::to_string(i), {1}, {0}});
  EXPECT_NE(refusal(tensors).find("; and 9954 more"), std::string::npos);
  EXPECT_LT(refusal(tensors).size(), 3000U);
}

TEST(InitialModel, WithoutAFileTheSeedDecides) {
  const Network network = make_mlp();
  const auto model = read_initial_model({}, network, kSeed);
  EXPECT_EQ(model.values, network.initial_parameters(kSeed));
  EXPECT_TRUE(model.note.empty());
}

TEST(InitialModel, AFileThatCannotBeReadIsAMistakeInTheConfig) {
  try {
    read_initial_model({.initial = "/nowhere"}, make_mlp(), kSeed);
    FAIL() << "read it";
  } catch (const KeyError& error) {
    EXPECT_EQ(error.key(), "model.initial");
    EXPECT_EQ(std::string(error.what()).find("model.initial: /nowhere: "), 0U) << error.what();
  }
}

}  // namespace
}  // namespace fedselect
