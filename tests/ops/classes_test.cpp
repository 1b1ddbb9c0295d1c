// Features by class, against double precision.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/clients.hpp"

namespace fedselect::ops {
namespace {

constexpr int kClasses = 5;
constexpr std::size_t kGroup = 3;

/// A group whose second client sits out, with random features and labels; class 3 is empty.
struct Samples {
  explicit Samples(std::size_t features)
      : size(features), x(kGroup, 9 * features), labels(kGroup, 9) {
    RandomStream random(3, Purpose::test, static_cast<std::uint32_t>(features));
    for (std::size_t g = 0; g < kGroup; ++g) {
      for (std::size_t j = 0; j < 9 * size; ++j) x[g][j] = static_cast<float>(random.normal());
      for (std::size_t i = 0; i < 9; ++i) {
        const auto drawn = static_cast<std::int32_t>(random.below(kClasses - 1));
        labels[g][i] = drawn == 3 ? 4 : drawn;
      }
    }
  }
  double feature(std::size_t g, std::size_t i, std::size_t j) {
    return static_cast<double>(x[g][i * size + j]);
  }

  std::size_t size;
  std::vector<int> samples{7, 0, 9};
  Clients<float> x;
  Clients<std::int32_t> labels;
};

TEST_P(Parameters, ClassSumsAgainstDoubles) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{31}, std::size_t{65}}) {
    Samples data(size);
    const std::size_t row = size + 2;
    Clients<double> sums(kGroup, kClasses * row, 2);
    ops_.add_class_sums({data.samples}, size, data.x.view(), data.labels.view(), sums.view());
    for (std::size_t g = 0; g < kGroup; ++g) {
      std::vector<double> expected(kClasses * row, 2);
      for (std::size_t i = 0; i < static_cast<std::size_t>(data.samples[g]); ++i) {
        double* of_class = &expected[static_cast<std::size_t>(data.labels[g][i]) * row];
        for (std::size_t j = 0; j < size; ++j) {
          of_class[j] += data.feature(g, i, j);
          of_class[size + 1] += data.feature(g, i, j) * data.feature(g, i, j);
        }
        of_class[size] += 1;
      }
      for (std::size_t j = 0; j < expected.size(); ++j) EXPECT_NEAR(sums[g][j], expected[j], 1e-12);
      EXPECT_EQ(sums[g][3 * row], 2);         // no sample of class 3
      EXPECT_EQ(sums[g][kClasses * row], 2);  // the gap
    }
  }
}

TEST_P(Parameters, PullToClassAgainstDoubles) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{31}, std::size_t{65}}) {
    Samples data(size);
    Clients<float> targets(kGroup, kClasses * (size + 1)), dx(kGroup, 9 * size, 0.5F);
    RandomStream random(4, Purpose::test, 1);
    for (std::size_t g = 0; g < kGroup; ++g)
      for (std::size_t j = 0; j < kClasses * (size + 1); ++j)
        targets[g][j] = static_cast<float>(random.normal());
    for (std::size_t g = 0; g < kGroup; ++g) targets[g][size] = 0;  // class 0 has no target
    const std::vector<float> factor{0.25F, 9, 3};
    ops_.pull_to_class({data.samples}, size, factor, data.x.view(), data.labels.view(),
                       targets.view(), dx.view());
    for (std::size_t g = 0; g < kGroup; ++g)
      for (std::size_t i = 0; i < 9; ++i)
        for (std::size_t j = 0; j < size; ++j) {
          const auto label = static_cast<std::size_t>(data.labels[g][i]);
          const bool pulled = i < static_cast<std::size_t>(data.samples[g]) && label != 0;
          const double target = targets[g][label * (size + 1) + j];
          const double pull = pulled ? double{factor[g]} * (data.feature(g, i, j) - target) : 0;
          EXPECT_NEAR(dx[g][i * size + j], 0.5 + pull, 1e-5);
        }
  }
}

TEST_P(Parameters, PullToClassTakesOneTableForAll) {
  Clients<float> x(2, 2, 3), targets(1, 6), dx(2, 2, 1);
  Clients<std::int32_t> labels(2, 1, 1);
  targets[0][3] = 1;
  targets[0][4] = -1;
  targets[0][5] = 1;
  const std::vector<int> samples{1, 1};
  const std::vector<float> factor{0.5F, 2};
  ops_.pull_to_class({samples}, 2, factor, x.view(), labels.view(), {targets[0], 0}, dx.view());
  EXPECT_EQ(dx[0][0], 2);  // 1 + 0.5 (3 - 1)
  EXPECT_EQ(dx[0][1], 3);
  EXPECT_EQ(dx[1][0], 5);
  EXPECT_EQ(dx[1][1], 9);
}

}  // namespace
}  // namespace fedselect::ops
