#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/clients.hpp"

// Each op on parameter vectors against a plain reference that shares no code with it, on every
// instruction set.

namespace fedselect::ops {
namespace {

INSTANTIATE_TEST_SUITE_P(Isas, Parameters, testing::ValuesIn(isas()), IsaNames());

// SGD

TEST_P(Parameters, SgdByHand) {
  Clients<float> theta(1, 64), gradient(1, 64), velocity(1, 64);
  theta[0][0] = 1;
  gradient[0][0] = 2;
  velocity[0][0] = 4;
  const std::vector<int> samples{1};
  const Range range{0, 1};
  const float scale = 0.5;
  // v = 0.5 * 4 + (0.5 * 2 + 0.25 * 1) = 3.25; theta = 1 - 0.5 * 3.25
  ops_.sgd_step({samples}, {&range, 1}, {.rate = 0.5, .momentum = 0.5, .weight_decay = 0.25},
                {&scale, 1}, theta.view(), gradient.view(), velocity.view(), {});
  EXPECT_EQ(velocity[0][0], 3.25F);
  EXPECT_EQ(theta[0][0], -0.625F);
}

struct SgdCase {
  std::size_t clients;
  float momentum, weight_decay;
  Scope scope;
  double density;
};

void check_sgd(CpuOps& ops, const SgdCase& c, std::uint32_t seed) {
  RandomStream random(1, Purpose::test, seed);
  const std::vector<Range> all = make_ranges({kSizes, kSizes + std::size(kSizes)});
  std::vector<Range> ranges = all;
  ranges.erase(ranges.begin() + 4);  // a frozen tensor
  const std::size_t size = padded_size(all);
  Clients<float> theta(c.clients, size, 7), gradient(c.clients, size), velocity(c.clients, size, 5);
  Clients<Word> mask(c.clients, size / kWordBits);
  const std::vector<int> samples = make_samples(c.clients);
  std::vector<float> scale(c.clients);
  for (std::size_t g = 0; g < c.clients; ++g) {
    fill_normal(random, all, theta[g]);
    fill_normal(random, all, gradient[g]);
    fill_normal(random, all, velocity[g]);
    fill_bits(random, all, c.density, mask[g]);
    scale[g] = 1.F / static_cast<float>(g + 1);
  }
  const Clients<float> old_theta = theta;
  const Clients<float> old_velocity = velocity;
  Clients<float> expected_theta = theta;
  Clients<float> expected_velocity = velocity;
  const SgdRule rule{
      .rate = 0.1F, .momentum = c.momentum, .weight_decay = c.weight_decay, .scope = c.scope};
  Clients<Word> in_scope(c.clients, size / kWordBits);
  for (std::size_t g = 0; g < c.clients; ++g) {
    if (samples[g] == 0) continue;
    for_each_index(ranges, [&](std::size_t j) {
      if (c.scope != Scope::all && test_bit(mask[g], j) != (c.scope == Scope::personal)) return;
      set_bit(in_scope[g], j);
      const double t = theta[g][j];
      const double v = double{rule.momentum} * velocity[g][j] +
                       (double{scale[g]} * gradient[g][j] + double{rule.weight_decay} * t);
      expected_velocity[g][j] = static_cast<float>(v);
      expected_theta[g][j] = static_cast<float>(t - double{rule.rate} * v);
    });
  }
  ops.sgd_step({samples}, ranges, rule, {scale.data(), 1}, theta.view(), gradient.view(),
               c.momentum == 0 ? Values{} : velocity.view(),
               c.scope == Scope::all ? ConstBits{} : ConstBits(mask.view()));
  for (std::size_t g = 0; g < c.clients; ++g) {
    for (std::size_t j = 0; j < size; ++j) {
      if (test_bit(in_scope[g], j)) {
        ASSERT_NEAR(theta[g][j], expected_theta[g][j], 2e-6) << g << " " << j;
        if (c.momentum != 0) {
          ASSERT_NEAR(velocity[g][j], expected_velocity[g][j], 2e-6) << g << " " << j;
        }
      } else {
        const std::size_t at = static_cast<std::size_t>(theta[g] - theta[0]) + j;
        ASSERT_EQ(theta[g][j], old_theta.all()[at]) << g << " " << j;
        ASSERT_EQ(velocity[g][j], old_velocity.all()[at]) << g << " " << j;
      }
    }
  }
}

TEST_P(Parameters, SgdFollowsThePlainLoopAndTouchesNothingElse) {
  std::uint32_t seed = 0;
  for (std::size_t clients : {1, 2, 7}) {
    for (float momentum : {0.F, 0.9F}) {
      for (float decay : {0.F, 0.01F}) {
        for (Scope scope : {Scope::all, Scope::shared, Scope::personal}) {
          for (double density : {0.0, 0.02, 0.5, 1.0}) {
            check_sgd(ops_, {clients, momentum, decay, scope, density}, ++seed);
          }
        }
      }
    }
  }
}

TEST_P(Parameters, SgdStepOfTwoHalvesIsTheWholeStep) {
  RandomStream random(2, Purpose::test);
  const std::vector<Range> ranges = make_ranges({1000});
  const std::size_t size = padded_size(ranges);
  Clients<float> whole(1, size), gradient(1, size), velocity(1, size);
  Clients<Word> mask(1, size / kWordBits);
  fill_normal(random, ranges, whole[0]);
  fill_normal(random, ranges, gradient[0]);
  fill_normal(random, ranges, velocity[0]);
  fill_bits(random, ranges, 0.5, mask[0]);
  Clients<float> halves = whole;
  Clients<float> halves_velocity = velocity;
  const std::vector<int> samples{1};
  const float scale = 0.7F;
  SgdRule rule{.rate = 0.1F, .momentum = 0.9F, .weight_decay = 0.01F};
  ops_.sgd_step({samples}, ranges, rule, {&scale, 1}, whole.view(), gradient.view(),
                velocity.view(), {});
  for (Scope scope : {Scope::shared, Scope::personal}) {
    rule.scope = scope;
    ops_.sgd_step({samples}, ranges, rule, {&scale, 1}, halves.view(), gradient.view(),
                  halves_velocity.view(), mask.view());
  }
  EXPECT_TRUE(same_bits(whole.all(), halves.all()));
  EXPECT_TRUE(same_bits(velocity.all(), halves_velocity.all()));
}

// Plain vector ops

TEST_P(Parameters, ClipScale) {
  RandomStream random(3, Purpose::test);
  const std::vector<Range> ranges = make_ranges({kSizes, kSizes + std::size(kSizes)});
  const std::size_t size = padded_size(ranges);
  Clients<float> values(3, size, kNan);  // padding and gaps don't count
  const std::vector<int> samples{1, 0, 5};
  std::vector<float> out(3, -1);
  for (std::size_t g = 0; g < 3; ++g) fill_normal(random, ranges, values[g]);
  constexpr double kLimit = 7.5;
  ops_.clip_scale({samples}, ranges, kLimit, values.view(), {out.data(), 1});
  for (std::size_t g : {std::size_t{0}, std::size_t{2}}) {
    long double expected = 0;
    for_each_index(ranges, [&](std::size_t j) {
      expected += static_cast<long double>(values[g][j]) * static_cast<long double>(values[g][j]);
    });
    const double scale = kLimit / (std::sqrt(static_cast<double>(expected)) + 1e-6);
    EXPECT_LT(scale, 1);
    EXPECT_EQ(out[g], static_cast<float>(scale));
  }
  EXPECT_EQ(out[1], -1);
  ops_.clip_scale({samples}, ranges, 1e6, values.view(), {out.data(), 1});
  EXPECT_EQ(out[0], 1);
}

TEST_P(Parameters, ProximalAndChangeMagnitude) {
  RandomStream random(4, Purpose::test);
  const std::vector<Range> ranges = make_ranges({1000, 33});
  const std::size_t size = padded_size(ranges);
  Clients<float> theta(2, size), anchor(2, size), gradient(2, size), change(2, size, -1);
  for (std::size_t g = 0; g < 2; ++g) {
    fill_normal(random, ranges, theta[g]);
    fill_normal(random, ranges, anchor[g]);
    fill_normal(random, ranges, gradient[g]);
  }
  theta[0][0] = 1;
  anchor[0][0] = 3;
  gradient[0][0] = 4;
  const Clients<float> old = gradient;
  const std::vector<int> samples{2, 0};
  ops_.add_proximal({samples}, size, 0.5F, theta.view(), anchor.view(), gradient.view());
  ops_.change_magnitude({samples}, size, theta.view(), anchor.view(), change.view());
  EXPECT_EQ(gradient[0][0], 3);
  EXPECT_EQ(change[0][0], 2);
  for (std::size_t j = 0; j < size; ++j) {
    EXPECT_NEAR(gradient[0][j], old.all()[j] + 0.5F * (theta[0][j] - anchor[0][j]), 1e-6);
    EXPECT_EQ(change[0][j], std::fabs(theta[0][j] - anchor[0][j]));
    const std::size_t at = static_cast<std::size_t>(gradient[1] - gradient[0]) + j;
    EXPECT_EQ(gradient[1][j], old.all()[at]);
    EXPECT_EQ(change[1][j], -1);
  }
}

TEST_P(Parameters, CountBits) {
  RandomStream random(5, Purpose::test);
  const std::vector<Range> ranges = make_ranges({kSizes, kSizes + std::size(kSizes)});
  const std::size_t words = padded_size(ranges) / kWordBits;
  Clients<Word> bits(3, words, kAllBits);  // bits behind a range's end don't count
  for (std::size_t w = 0; w < words; ++w) bits[2][w] = (Word{random()} << 32) | random();
  const std::vector<int> samples{1, 0, 2};
  std::vector<std::int64_t> counts(3 * ranges.size(), -1);
  ops_.count_bits({samples}, ranges, bits.view(), counts);
  for (std::size_t g = 0; g < 3; ++g) {
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      std::int64_t expected = 0;
      for (std::size_t j = 0; j < ranges[r].size; ++j) {
        expected += test_bit(bits[g], ranges[r].begin + j) ? 1 : 0;
      }
      EXPECT_EQ(counts[g * ranges.size() + r], g == 1 ? 0 : expected);
    }
  }
}

TEST_P(Parameters, PackAndUnpack) {
  RandomStream random(6, Purpose::test);
  for (std::size_t tensor : kSizes) {
    for (double density : {0.0, 0.05, 0.5, 1.0}) {
      const std::vector<Range> ranges = make_ranges({tensor});
      const std::size_t size = padded_size(ranges);
      Clients<float> theta(3, size), packed(3, size, -7), back(3, size, 3);
      Clients<Word> mask(3, size / kWordBits);
      const std::vector<int> samples{1, 0, 2};
      for (std::size_t g = 0; g < 3; ++g) {
        fill_normal(random, ranges, theta[g]);
        fill_bits(random, ranges, density, mask[g]);
      }
      std::vector<std::size_t> counts(3, 99);
      ops_.pack({samples}, size, theta.view(), mask.view(), packed.view(), counts);
      ops_.unpack({samples}, size, packed.view(), mask.view(), back.view());
      for (std::size_t g = 0; g < 3; ++g) {
        std::vector<float> expected;
        for (std::size_t j = 0; j < tensor && g != 1; ++j) {
          if (test_bit(mask[g], j)) expected.push_back(theta[g][j]);
        }
        ASSERT_EQ(counts[g], expected.size());
        expected.resize(size + 64, -7);  // nothing behind the last value is written
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), packed[g]));
        for (std::size_t j = 0; j < size; ++j) {
          EXPECT_EQ(back[g][j], g != 1 && test_bit(mask[g], j) ? theta[g][j] : 3);
        }
      }
    }
  }
}

}  // namespace
}  // namespace fedselect::ops
