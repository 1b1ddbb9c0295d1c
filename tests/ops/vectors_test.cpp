#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/clients.hpp"

// Arithmetic on whole parameter vectors, against double precision, on every instruction set.

namespace fedselect::ops {
namespace {

TEST_P(Parameters, AdamByHand) {
  // g = 0.5 * 2 + 0.25 * 4 = 2; m = 0.9 * 1 + 0.1 * 2 = 1.1; v = 0.5 * 6 + 0.5 * 4 = 5;
  // theta = 4 - 0.1 * 1.1 / (sqrt(5) * 2 + 1).
  Clients<float> theta(1, 64, 4), gradient(1, 64, 2), first(1, 64, 1), second(1, 64, 6);
  const std::vector<int> samples{1};
  const Range range{0, 3};
  AdamRule rule{.beta1 = 0.9F, .beta2 = 0.5F, .epsilon = 1, .weight_decay = 0.25F};
  const AdamStep step{.rate = 0.1F, .second_scale = 2};
  const float scale = 0.5F;
  ops_.adam_step({samples}, {&range, 1}, rule, {&step, 1}, {&scale, 1}, theta.view(),
                 gradient.view(), first.view(), second.view(), {});
  EXPECT_NEAR(first[0][0], 1.1, 1e-6);
  EXPECT_NEAR(second[0][2], 5, 1e-6);
  EXPECT_NEAR(theta[0][1], 4 - 0.1 * 1.1 / (std::sqrt(5.0) * 2 + 1), 1e-6);
  EXPECT_EQ(theta[0][3], 4);  // behind the range

  // Yogi: v = 6 - 0.5 * sign(6 - 4) * 4 = 4.
  Clients<float> theta2(1, 64, 4), first2(1, 64, 1), second2(1, 64, 6);
  rule.yogi = true;
  ops_.adam_step({samples}, {&range, 1}, rule, {&step, 1}, {&scale, 1}, theta2.view(),
                 gradient.view(), first2.view(), second2.view(), {});
  EXPECT_NEAR(second2[0][0], 4, 1e-6);
  EXPECT_NEAR(theta2[0][0], 4 - 0.1 * 1.1 / (2 * 2 + 1), 1e-6);
}

TEST_P(Parameters, AdamLeavesWhatIsOutOfScope) {
  RandomStream random(1, Purpose::test, 31);
  const std::vector<Range> ranges = make_ranges({kSizes, kSizes + std::size(kSizes)});
  const std::size_t size = padded_size(ranges);
  const std::vector<int> samples = make_samples(7);
  const std::vector<AdamStep> steps(7, {.rate = 0.1F, .second_scale = 1});
  const AdamRule rule{.beta1 = 0.9F, .beta2 = 0.99F, .epsilon = 1e-3F, .scope = Scope::personal};
  Clients<float> theta(7, size), gradient(7, size, 1), first(7, size, 0), second(7, size, 0);
  Clients<Word> mask(7, size / kWordBits);
  for (std::size_t g = 0; g < 7; ++g) fill_bits(random, ranges, 0.5, mask[g]);
  ops_.adam_step({samples}, ranges, rule, steps, {}, theta.view(), gradient.view(), first.view(),
                 second.view(), mask.view());
  for (std::size_t g = 0; g < 7; ++g)
    for_each_index(ranges, [&](std::size_t j) {
      const bool trained = samples[g] != 0 && test_bit(mask[g], j);
      EXPECT_EQ(theta[g][j] != 0, trained);
      EXPECT_EQ(first[g][j] != 0, trained);
    });
}

TEST_P(Parameters, CombineAndDotAgainstDoubles) {
  RandomStream random(1, Purpose::test, 32);
  for (const std::size_t n :
       {std::size_t{0}, std::size_t{64}, std::size_t{192}, std::size_t{1024}}) {
    const std::vector<Range> ranges{{0, n}};
    Clients<float> x(3, n), y(3, n), out(3, n, 9);
    for (std::size_t g = 0; g < 3; ++g) {
      fill_normal(random, ranges, x[g]);
      fill_normal(random, ranges, y[g]);
    }
    const std::vector<int> samples{1, 0, 4};
    const float a[] = {1, 2, 0.5F};
    const float b[] = {-1, 2, 3};
    ops_.combine({samples}, n, a, x.view(), b, y.view(), out.view());
    std::vector<double> products(3, -1);
    ops_.dot({samples}, ranges, x.view(), y.view(), products);
    for (std::size_t g = 0; g < 3; ++g) {
      double expected = 0;
      for (std::size_t j = 0; j < n; ++j) {
        const double sum = double{a[g]} * x[g][j] + double{b[g]} * y[g][j];
        EXPECT_NEAR(out[g][j], g == 1 ? 9 : sum, 1e-5);
        expected += double{x[g][j]} * y[g][j];
      }
      EXPECT_NEAR(products[g], g == 1 ? -1 : expected, 1e-9);
    }
    for (std::size_t j = 0; j < n; ++j) EXPECT_EQ(out[0][j], x[0][j] - y[0][j]);
    ops_.combine({samples}, n, a, x.view(), b, y.view(), y.view());  // in place
    for (std::size_t j = 0; j < n; ++j) EXPECT_EQ(y[0][j], out[0][j]);
  }
}

TEST_P(Parameters, LargestMagnitudeKnowsWhatIsNoNumber) {
  Clients<float> values(5, 128);
  values[0][100] = -3;
  values[0][3] = 2;
  values[1][127] = kNan;
  values[1][5] = 7;
  values[2][0] = -kInfinity;
  values[3][9] = kNan;  // sits out
  const std::vector<int> samples{1, 1, 1, 0, 1};
  std::vector<double> largest(5, -1);
  ops_.largest_magnitude({samples}, 128, values.view(), largest);
  EXPECT_EQ(largest, (std::vector<double>{3, kInfinity, kInfinity, -1, 0}));
}

TEST_P(Parameters, ChangeMagnitudeWithoutReferenceIsTheMagnitude) {
  Clients<float> values(1, 64), out(1, 64);
  values[0][1] = -2;
  const std::vector<int> samples{1};
  ops_.change_magnitude({samples}, 64, values.view(), {}, out.view());
  EXPECT_EQ(out[0][1], 2);
  EXPECT_EQ(out[0][0], 0);
}

TEST_P(Parameters, UnsharedMarksWhereNobodyAdded) {
  AlignedVector<std::uint32_t> weight(128, 1);
  weight[0] = weight[64] = weight[127] = 0;
  Word bits[2] = {5, 5};
  ops_.unshared(128, {.low = nullptr, .high = nullptr, .weight = weight.data()}, bits);
  EXPECT_EQ(bits[0], Word{1});
  EXPECT_EQ(bits[1], (Word{1} << 63) | 1);
}

}  // namespace
}  // namespace fedselect::ops
