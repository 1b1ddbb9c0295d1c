#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/clients.hpp"

// The exact sums of aggregation against 128-bit integers.

namespace fedselect::ops {
namespace {

__extension__ using Int128 = __int128;

using Sums = Parameters;
INSTANTIATE_TEST_SUITE_P(Isas, Sums, testing::ValuesIn(isas()), IsaNames());

struct Sum {
  AlignedVector<std::int64_t> low, high;
  AlignedVector<std::uint32_t> weight;

  explicit Sum(std::size_t size) : low(size), high(size), weight(size) {}
  SumView view(const FixedPoint& fixed) {
    return {low.data(), fixed.two_words ? high.data() : nullptr, weight.data()};
  }
  Int128 value(std::size_t j) const { return (static_cast<Int128>(high[j]) << 32) + low[j]; }
  bool operator==(const Sum&) const = default;
};

/// round(v * 2^bits), half to even, from the float's mantissa and exponent.
Int128 to_fixed(float v, int bits) {
  int exponent = 0;
  const float fraction = std::frexp(v, &exponent);
  const auto mantissa = static_cast<Int128>(std::ldexp(fraction, 24));
  const int shift = exponent - 24 + bits;
  if (shift >= 0) return mantissa << shift;
  if (shift < -40) return 0;
  const Int128 unit = static_cast<Int128>(1) << -shift;
  Int128 quotient = mantissa >> -shift;  // floor
  const Int128 rest = mantissa - quotient * unit;
  if (2 * rest > unit || (2 * rest == unit && (quotient & 1) != 0)) ++quotient;
  return quotient;
}

float draw(RandomStream& random) {
  switch (random.below(6)) {
    case 0: return static_cast<float>((random.uniform() - 0.5) * 8191.9);
    case 1: return static_cast<float>(static_cast<double>(random.below(65536)) - 32768) * 0x1p-31F;
    case 2: return std::nextafter(random.below(2) == 0 ? 4096.F : -4096.F, 0.F);
    case 3:
      return std::ldexp(static_cast<float>(random.normal()), -static_cast<int>(random.below(160)));
    default: return static_cast<float>(random.normal());
  }
}

struct Federation {
  std::size_t clients, size;
  Clients<float> theta;
  Clients<Word> mask;
  std::vector<std::uint32_t> weights;
  std::vector<int> samples;

  Federation(std::size_t n, std::size_t tensor, std::uint32_t max_weight, std::uint32_t seed)
      : clients(n),
        size(round_up(tensor, kWordBits)),
        theta(n, size),
        mask(n, size / kWordBits),
        samples(make_samples(n)) {
    RandomStream random(10, Purpose::test, seed);
    for (std::size_t g = 0; g < n; ++g) {
      for (std::size_t j = 0; j < tensor; ++j) theta[g][j] = draw(random);
      fill_bits(random, make_ranges({tensor}), 0.5, mask[g]);
      weights.push_back(max_weight == 1 ? 1
                                        : static_cast<std::uint32_t>(random.below(max_weight)) + 1);
    }
    if (n > 2) weights[2] = 0;
  }
  bool shares(std::size_t g, std::size_t j, bool masked) {
    return samples[g] != 0 && !(masked && test_bit(mask[g], j));
  }
};

TEST_P(Sums, ByHand) {
  const FixedPoint fixed{.fraction_bits = 4};
  Federation two(2, 3, 1, 0);
  two.samples = {1, 1};
  two.weights = {3, 1};
  const float first[] = {1, -2.5, 0.09375};  // 0.09375 * 16 = 1.5: to even, 2
  const float second[] = {2, 0.5, 1};
  std::copy_n(first, 3, two.theta[0]);
  std::copy_n(second, 3, two.theta[1]);
  two.mask[0][0] = 0;
  two.mask[1][0] = 0b100;
  Sum sum(64);
  EXPECT_EQ(ops_.accumulate({two.samples}, 64, fixed, two.weights, two.theta.view(),
                            two.mask.view(), sum.view(fixed)),
            -1);
  EXPECT_EQ(sum.low[0], 3 * 16 + 2 * 16);
  EXPECT_EQ(sum.low[1], -3 * 40 + 8);
  EXPECT_EQ(sum.low[2], 3 * 2);
  EXPECT_EQ(sum.weight[0], 4U);
  EXPECT_EQ(sum.weight[2], 3U);
  std::vector<float> mean(64, 9);
  sum.weight[4] = 0;
  ops_.divide(64, fixed, sum.view(fixed), mean.data());
  EXPECT_EQ(mean[0], 1.25F);
  EXPECT_EQ(mean[1], -1.75F);
  EXPECT_EQ(mean[2], 0.125F);
  EXPECT_EQ(mean[4], 9);
}

TEST_P(Sums, AgreeWithExactArithmeticInAnyOrder) {
  std::uint32_t seed = 0;
  for (std::size_t tensor : kSizes) {
    for (std::size_t clients : {1, 2, 7}) {
      for (bool masked : {false, true}) {
        for (const auto& [bits, max_weight, two_words] : {std::tuple{30, 1U, false},
                                                          {30, 100'000U, false},
                                                          {46, 1U, false},
                                                          {50, 1U, true},
                                                          {30, 0xffffffffU, true},
                                                          {50, 0xffffffffU, true},
                                                          {0, 3U, false},
                                                          {30, 7U, true}}) {
          const FixedPoint fixed{.fraction_bits = bits, .two_words = two_words};
          Federation all(clients, tensor, max_weight, ++seed);
          const ConstBits mask = masked ? ConstBits(all.mask.view()) : ConstBits{};
          Sum sum(all.size);
          ASSERT_EQ(ops_.accumulate({all.samples}, all.size, fixed, all.weights, all.theta.view(),
                                    mask, sum.view(fixed)),
                    -1);
          Sum backwards(all.size);  // one client at a time, the last first
          for (std::size_t g = clients; g-- > 0;) {
            const auto client = static_cast<std::ptrdiff_t>(g);
            ASSERT_EQ(ops_.accumulate({{&all.samples[g], 1}}, all.size, fixed, {&all.weights[g], 1},
                                      {all.theta.view()[static_cast<int>(client)], 0},
                                      {masked ? all.mask[g] : nullptr, 0}, backwards.view(fixed)),
                      -1);
          }
          EXPECT_TRUE(sum == backwards);
          std::vector<float> mean(all.size, 42);
          ops_.divide(all.size, fixed, sum.view(fixed), mean.data());
          for (std::size_t j = 0; j < all.size; ++j) {
            Int128 expected = 0;
            std::uint32_t weight = 0;
            for (std::size_t g = 0; g < clients; ++g) {
              if (!all.shares(g, j, masked)) continue;
              expected += static_cast<Int128>(all.weights[g]) * to_fixed(all.theta[g][j], bits);
              weight += all.weights[g];
            }
            ASSERT_TRUE(sum.value(j) == expected) << j << " bits " << bits;
            if (max_weight == 0xffffffffU) continue;  // the total weight wraps
            ASSERT_EQ(sum.weight[j], weight);
            if (weight == 0) {
              ASSERT_EQ(mean[j], 42);
              continue;
            }
            const long double exact = static_cast<long double>(expected) /
                                      (static_cast<long double>(weight) * std::ldexp(1.L, bits));
            const auto nearest = static_cast<float>(exact);
            ASSERT_LE(std::fabs(mean[j] - nearest),
                      std::fabs(std::nextafter(nearest, kInfinity) - nearest));
          }
        }
      }
    }
  }
}

TEST_P(Sums, TwoWordsGiveTheMeansOfOneWord) {
  Federation all(7, 1000, 1000, 77);
  std::vector<float> means[2];
  for (bool two_words : {false, true}) {
    const FixedPoint fixed{.fraction_bits = 32, .two_words = two_words};
    Sum sum(all.size);
    ops_.accumulate({all.samples}, all.size, fixed, all.weights, all.theta.view(), {},
                    sum.view(fixed));
    means[two_words ? 1 : 0].resize(all.size);
    ops_.divide(all.size, fixed, sum.view(fixed), means[two_words ? 1 : 0].data());
  }
  EXPECT_EQ(means[0], means[1]);
}

TEST_P(Sums, TwoWordsAreExactWhereOneOverflows) {
  const FixedPoint fixed{.fraction_bits = 50, .two_words = true};
  constexpr std::size_t kClients = 100;
  const float value = std::nextafter(4096.F, 0.F);
  const std::vector<int> samples(kClients, 1);
  const std::vector<std::uint32_t> weights(kClients, 40'000'000);
  Clients<float> theta(kClients, 64, value);
  for (std::size_t g = 0; g < kClients; ++g) theta[g][1] = -value;
  Sum sum(64);
  ASSERT_EQ(ops_.accumulate({samples}, 64, fixed, weights, theta.view(), {}, sum.view(fixed)), -1);
  const Int128 expected = to_fixed(value, 50) * 4'000'000'000;
  EXPECT_TRUE(sum.value(0) == expected);
  EXPECT_TRUE(sum.value(1) == -expected);
  std::vector<float> mean(64);
  ops_.divide(64, fixed, sum.view(fixed), mean.data());
  EXPECT_EQ(mean[0], value);
  EXPECT_EQ(mean[1], -value);
}

TEST_P(Sums, RefuseValuesOutOfBoundsAndStayAsTheyWere) {
  for (bool two_words : {false, true}) {
    const FixedPoint fixed{.fraction_bits = 30, .two_words = two_words};
    for (float bad : {4096.F, -4096.F, kInfinity, -kInfinity, kNan, 1e30F}) {
      Federation all(7, 1000, 5, 3);
      Sum sum(all.size);
      ASSERT_EQ(ops_.accumulate({all.samples}, all.size, fixed, all.weights, all.theta.view(),
                                all.mask.view(), sum.view(fixed)),
                -1);
      const Sum before = sum;
      const auto refused = [&] {
        return ops_.accumulate({all.samples}, all.size, fixed, all.weights, all.theta.view(),
                               all.mask.view(), sum.view(fixed));
      };
      all.theta[1][5] = bad;  // sits out
      all.theta[2][5] = bad;  // weighs nothing
      all.theta[4][700] = bad;
      all.theta[4][900] = bad;
      set_bit(all.mask[4], 700);  // personal
      set_bit(all.mask[4], 900);
      EXPECT_EQ(refused(), -1);
      sum = before;
      all.mask[4][900 / kWordBits] &= ~(Word{1} << (900 % kWordBits));
      EXPECT_EQ(refused(), static_cast<std::ptrdiff_t>(4 * all.size + 900));
      EXPECT_TRUE(sum == before);
      all.mask[4][700 / kWordBits] &= ~(Word{1} << (700 % kWordBits));
      EXPECT_EQ(refused(), static_cast<std::ptrdiff_t>(4 * all.size + 700));
      EXPECT_TRUE(sum == before);
    }
  }
}

}  // namespace
}  // namespace fedselect::ops
