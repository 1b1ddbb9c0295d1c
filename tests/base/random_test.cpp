#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

namespace fedselect {
namespace {

RandomStream test_stream(std::uint32_t client = 0, std::uint32_t round = 0,
                         std::uint32_t step = 0) {
  return {1, Purpose::test, client, round, step};
}

struct Moments {
  double mean = 0;
  double variance = 0;
};

template <class Draw>
Moments measure(int n, const Draw& draw) {
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / n;
  return {mean, squares / n - mean * mean};
}

/// Sum over cells of (count - expected)^2 / expected, for equally likely cells.
double chi_square(const std::vector<int>& counts) {
  const double expected =
      std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  double sum = 0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

// The vectors for philox4x32, 10 rounds, that Random123 publishes.
TEST(Philox, KnownAnswers) {
  using Counter = r123::Philox4x32::ctr_type;
  using Key = r123::Philox4x32::key_type;
  const r123::Philox4x32 philox;
  const Counter zeros = philox(Counter{{0, 0, 0, 0}}, Key{{0, 0}});
  EXPECT_EQ(zeros, (Counter{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  const Counter ones = philox(Counter{{kOnes, kOnes, kOnes, kOnes}}, Key{{kOnes, kOnes}});
  EXPECT_EQ(ones, (Counter{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  const Counter pi = philox(Counter{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
                            Key{{0xa4093822, 0x299f31d0}});
  EXPECT_EQ(pi, (Counter{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

TEST(RandomStream, SameNameSameNumbers) {
  auto a = test_stream(1, 2, 3);
  auto b = test_stream(1, 2, 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a(), b());
}

// Written down from the program itself: what a name stands for must not change between versions.
TEST(RandomStream, KnownAnswers) {
  RandomStream stream(42, Purpose::test, 1, 2, 3);
  for (const std::uint32_t bits :
       {0xfe3868b5U, 0x0983d0b8U, 0x63b826d7U, 0xd7a8c643U, 0x56c260ebU, 0xca729ee8U})
    EXPECT_EQ(stream(), bits);
  EXPECT_EQ(stream.uniform(), 0x1.0fd183b88073p-1);
  EXPECT_EQ(stream.below(1000000007), 874429454U);
  EXPECT_NEAR(stream.gamma(0.3), 0x1.090b860cba7ccp-2, 1e-15);  // libm may round otherwise
}

TEST(RandomStream, EveryPartOfTheNameMatters) {
  std::set<std::array<std::uint32_t, 4>> beginnings;
  std::size_t names = 0;
  for (const std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32U})
    for (const auto purpose : {Purpose::initial_weights, Purpose::partition, Purpose::test})
      for (std::uint32_t client = 0; client < 8; ++client)
        for (std::uint32_t round = 0; round < 8; ++round)
          for (std::uint32_t step = 0; step < 8; ++step) {
            RandomStream stream(seed, purpose, client, round, step);
            beginnings.insert({stream(), stream(), stream(), stream()});
            ++names;
          }
  EXPECT_EQ(beginnings.size(), names);
}

// First numbers of neighbouring streams must look as random as numbers within one stream.
TEST(RandomStream, NeighbouringStreamsAreIndependent) {
  constexpr std::uint32_t kStreams = 100000;
  std::vector<int> pairs(64);  // (first number of stream k, of stream k + 1), 8 x 8 cells
  double before = test_stream(0).uniform();
  for (std::uint32_t k = 1; k <= kStreams; ++k) {
    const double now = test_stream(k).uniform();
    ++pairs[static_cast<std::size_t>(before * 8) * 8 + static_cast<std::size_t>(now * 8)];
    before = now;
  }
  EXPECT_LT(chi_square(pairs), 115);  // 63 degrees of freedom: exceeded once in 16000
}

TEST(RandomStream, UniformHasTheRightMomentsAndRange) {
  auto stream = test_stream();
  double low = 1;
  double high = 0;
  constexpr int kDraws = 1000000;
  const auto [mean, variance] = measure(kDraws, [&] {
    const double x = stream.uniform();
    low = std::min(low, x);
    high = std::max(high, x);
    return x;
  });
  EXPECT_NEAR(mean, 0.5, 0.0012);  // 4 standard errors
  EXPECT_NEAR(variance, 1.0 / 12, 0.0003);
  EXPECT_GE(low, 0);
  EXPECT_LT(low, 1e-4);
  EXPECT_LT(high, 1);
  EXPECT_GT(high, 1 - 1e-4);
}

TEST(RandomStream, BelowIsUnbiased) {
  auto stream = test_stream();
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[stream.below(counts.size())];
  EXPECT_LT(chi_square(counts), 22.5);  // 6 degrees of freedom: exceeded once in 1000
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stream.below(1), 0U);
}

// Where n is no small part of 2^64, taking remainders without rejection would double some values.
TEST(RandomStream, BelowIsUnbiasedForHugeN) {
  auto stream = test_stream();
  constexpr std::uint64_t kHuge = 3ULL << 62U;
  std::vector<int> thirds(3);
  for (int i = 0; i < 30000; ++i) {
    const auto x = stream.below(kHuge);
    ASSERT_LT(x, kHuge);
    ++thirds[x >> 62U];
  }
  EXPECT_LT(chi_square(thirds), 13.8);  // 2 degrees of freedom: exceeded once in 1000
}

TEST(RandomStream, NormalHasTheRightMoments) {
  auto stream = test_stream();
  const auto [mean, variance] = measure(400000, [&] { return stream.normal(); });
  EXPECT_NEAR(mean, 0, 0.0064);
  EXPECT_NEAR(variance, 1, 0.009);
}

class Gamma : public ::testing::TestWithParam<double> {};

TEST_P(Gamma, HasTheRightMoments) {
  auto stream = test_stream();
  const double shape = GetParam();
  constexpr int kDraws = 400000;
  const auto [mean, variance] = measure(kDraws, [&] {
    const double x = stream.gamma(shape);
    EXPECT_GE(x, 0);
    return x;
  });
  // Standard errors: of the mean sqrt(a/n), of the variance sqrt((2 a^2 + 6 a)/n).
  EXPECT_NEAR(mean, shape, 4 * std::sqrt(shape / kDraws));
  EXPECT_NEAR(variance, shape, 4 * std::sqrt((2 * shape * shape + 6 * shape) / kDraws));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Gamma, ::testing::Values(0.05, 0.5, 1.0, 4.0, 100.0));

TEST(RandomStream, ShuffleGivesEveryPermutationEquallyOften) {
  auto stream = test_stream();
  std::vector<int> counts(6);
  for (int i = 0; i < 60000; ++i) {
    std::array<int, 3> items{0, 1, 2};
    stream.shuffle(std::span<int>(items));
    std::size_t place = 0;
    for (std::array<int, 3> p{0, 1, 2}; p != items; std::next_permutation(p.begin(), p.end()))
      ++place;
    ++counts[place];
  }
  EXPECT_LT(chi_square(counts), 20.5);  // 5 degrees of freedom: exceeded once in 1000
}

TEST(RandomStream, ShuffleLosesNothing) {
  auto stream = test_stream();
  for (const std::size_t n : {0U, 1U, 2U, 31U, 257U}) {
    std::vector<std::size_t> items(n);
    std::iota(items.begin(), items.end(), std::size_t{0});
    stream.shuffle(std::span(items));
    const std::set<std::size_t> seen(items.begin(), items.end());
    EXPECT_EQ(seen.size(), n);
  }
}

}  // namespace
}  // namespace fedselect
