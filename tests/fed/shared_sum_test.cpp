#include "fed/shared_sum.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "fed/methods.hpp"

namespace fedselect {
namespace {

TEST(FixedPoint, IsAsFineAsTheTotalWeightPermits) {
  EXPECT_EQ(fixed_point_for(10).fraction_bits, 40);
  EXPECT_FALSE(fixed_point_for(10).two_words);
  // 2^20 - 1 samples: 62 - 12 - 20 = 30 bits, the last that one word holds.
  EXPECT_EQ(fixed_point_for((1U << 20) - 1).fraction_bits, 30);
  EXPECT_FALSE(fixed_point_for((1U << 20) - 1).two_words);
  EXPECT_TRUE(fixed_point_for(1U << 20).two_words);
  EXPECT_GE(fixed_point_for(0xffffffffU).fraction_bits, 30);
  EXPECT_THROW(fixed_point_for(std::uint64_t{1} << 32), InputError);
}

class SharedSumTest : public ::testing::Test {
 protected:
  SharedSumTest() {
    layout_.add("a.weight", {3}, TensorKind::weight, 0);
    layout_.add("a.bias", {1}, TensorKind::bias, 0);
    initial_.assign(layout_.padded_size(), 0.0F);
    global_ = {*ops_, 1, layout_.padded_size()};
  }

  /// A group of one client, freshly loaded with these values at the first tensor.
  void load(ClientGroup& group, int client, std::initializer_list<float> values) {
    group.load(store_, std::vector<int>{client}, global_, 0);
    std::copy(values.begin(), values.end(), group.parameters()[0]);
  }

  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  ParameterLayout layout_;
  AlignedVector<float> initial_;
  ParameterVector global_;
  PhaseClock clock_;
  ClientStore store_{4, {0, 1, 2, 3}};
};

TEST_F(SharedSumTest, IsTheExactMeanInAnyOrder) {
  ClientGroup group(*ops_, layout_, 1, {}, initial_, clock_);
  // Values whose float sum depends on the order: 1000 + 2^-20 + -1000.
  const float tiny = 0x1p-20F;
  const std::initializer_list<float> values[] = {{1000, 1, 0}, {tiny, 2, 0}, {-1000, 6, 0}};
  for (const auto& order : {std::array{0, 1, 2}, std::array{2, 0, 1}, std::array{1, 2, 0}}) {
    SharedSum sum(*ops_, layout_, layout_.padded_size());
    sum.reset(3);
    for (const int k : order) {
      load(group, k, values[k]);
      sum.add(group, std::vector<std::uint32_t>{1}, group.parameters(), group.mask());
    }
    sum.mean(global_);
    EXPECT_EQ(global_.of(0)[0], static_cast<float>(0x1p-20 / 3));
    EXPECT_EQ(global_.of(0)[1], 3.0F);
  }
}

TEST_F(SharedSumTest, TooLargeValueNamesClientAndTensor) {
  ClientGroup group(*ops_, layout_, 1, {}, initial_, clock_);
  SharedSum sum(*ops_, layout_, layout_.padded_size());
  sum.reset(3);
  load(group, 2, {0, 5000, 0});
  try {
    sum.add(group, std::vector<std::uint32_t>{1}, group.parameters(), group.mask());
    FAIL() << "no error";
  } catch (const SystemError& error) {
    EXPECT_NE(std::string(error.what()).find("client 2"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("a.weight"), std::string::npos) << error.what();
  }
}

TEST_F(SharedSumTest, NobodySharesKeepsTheLastValue) {
  ClientGroup group(*ops_, layout_, 1, {}, initial_, clock_);
  global_.of(0)[0] = 7;
  load(group, 0, {1, 2, 3});
  const auto first_tensor =
      Mask::of_tensors(layout_, [](const Tensor& tensor) { return tensor.name == "a.weight"; });
  group.personalize(first_tensor);
  SharedSum sum(*ops_, layout_, layout_.padded_size());
  sum.reset(1);
  sum.add(group, std::vector<std::uint32_t>{1}, group.parameters(), group.mask());
  sum.mean(global_);
  EXPECT_EQ(global_.of(0)[0], 7.0F);
}

}  // namespace
}  // namespace fedselect
