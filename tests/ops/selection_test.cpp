#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "ops/clients.hpp"

// select_top against a full sort by (score descending, index ascending).

namespace fedselect::ops {
namespace {

using Selection = Parameters;
INSTANTIATE_TEST_SUITE_P(Isas, Selection, testing::ValuesIn(isas()), IsaNames());

std::vector<bool> expected_choice(const float* score, const Word* eligible, std::size_t size,
                                  std::int64_t count, Ties ties, bool skip_zero) {
  std::vector<std::size_t> order;
  for (std::size_t j = 0; j < size; ++j) {
    if (test_bit(eligible, j) && !(skip_zero && score[j] == 0)) order.push_back(j);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
  std::vector<bool> chosen(size);
  const std::size_t taken = std::min(order.size(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool ties_with_last = taken > 0 && score[order[i]] == score[order[taken - 1]];
    if (i < taken || (ties == Ties::threshold && ties_with_last)) chosen[order[i]] = true;
  }
  return chosen;
}

struct Distribution {
  const char* name;
  std::function<float(RandomStream&, std::size_t)> draw;
};

std::vector<Distribution> distributions() {
  return {
      {"normal", [](auto& r, auto) { return static_cast<float>(std::fabs(r.normal())); }},
      {"all equal", [](auto&, auto) { return 0.25F; }},
      {"all zero", [](auto& r, auto) { return r.below(2) == 0 ? 0.F : -0.F; }},
      {"few values", [](auto& r, auto) { return static_cast<float>(r.below(4)); }},
      {"two adjacent floats",
       [](auto& r, auto) { return r.below(2) == 0 ? 1.F : std::nextafter(1.F, 2.F); }},
      {"denormals", [](auto& r, auto) { return static_cast<float>(r.below(300)) * kDenormal; }},
      {"half zero",
       [](auto& r, auto) {
         return r.below(2) == 0 ? 0.F : static_cast<float>(std::fabs(r.normal()));
       }},
      {"some infinite",
       [](auto& r, auto) { return r.below(8) == 0 ? kInfinity : static_cast<float>(r.uniform()); }},
      {"all magnitudes",
       [](auto& r, auto) {
         return std::bit_cast<float>(static_cast<std::uint32_t>(r.below(0x7f800001U)));
       }},
      {"rising", [](auto&, auto j) { return static_cast<float>(j); }},
      {"falling, then equal",
       [](auto&, auto j) { return j < 500 ? 1e6F - static_cast<float>(j) : 3.F; }},
      {"periodic",
       [](auto&, auto j) { return j % 64 == 0 ? 5.F : static_cast<float>(j % 64) / 64; }},
  };
}

/// Checks one client and range against the sort; the bits outside the range must stay.
void check_one(CpuOps& ops, std::vector<float>& score, std::vector<Word>& eligible,
               std::size_t size, std::int64_t count, Ties ties, bool skip_zero, bool in_place) {
  const std::vector<bool> expected =
      expected_choice(score.data(), eligible.data(), size, count, ties, skip_zero);
  std::vector<Word> chosen(eligible.size(), 0xabcdabcdabcdabcdU);
  if (in_place) chosen = eligible;
  const std::vector<Word> before = chosen;
  const std::vector<int> samples{1};
  const Range range{0, size};
  ops.select_top({samples}, {&range, 1}, {&count, 1}, ties, skip_zero, {score.data(), 0},
                 {in_place ? chosen.data() : eligible.data(), 0}, {chosen.data(), 0});
  for (std::size_t j = 0; j < chosen.size() * kWordBits; ++j) {
    const bool inside = j < round_up(size, kWordBits);
    const bool want = inside ? j < size && expected[j] : test_bit(before.data(), j);
    ASSERT_EQ(test_bit(chosen.data(), j), want)
        << "index " << j << " of " << size << ", count " << count << ", threshold "
        << (ties == Ties::threshold) << ", skip_zero " << skip_zero;
  }
}

void check_sizes(CpuOps& ops, std::span<const std::size_t> sizes, std::span<const double> densities,
                 bool every_count) {
  std::uint32_t seed = 0;
  for (std::size_t size : sizes) {
    for (const Distribution& distribution : distributions()) {
      SCOPED_TRACE(distribution.name);
      for (double density : densities) {
        RandomStream random(7, Purpose::test, ++seed);
        const std::vector<Range> ranges = make_ranges({size, 64});
        std::vector<float> score(padded_size(ranges), kNan);  // of no index that is eligible
        std::vector<Word> eligible(score.size() / kWordBits);
        fill_bits(random, {ranges[0]}, density, eligible.data());
        for (std::size_t j = 0; j < size; ++j) {
          if (test_bit(eligible.data(), j)) score[j] = distribution.draw(random, j);
        }
        const auto n = static_cast<std::int64_t>(count_bits(eligible.data(), size));
        std::vector<std::int64_t> counts{n / 4, n / 2};
        if (every_count) counts.insert(counts.end(), {0, 1, n - n / 10, n - 1, n, n + 5});
        for (std::int64_t count : counts) {
          if (count < 0) continue;
          for (Ties ties : {Ties::exact, Ties::threshold}) {
            for (bool skip_zero : {false, true}) {
              check_one(ops, score, eligible, size, count, ties, skip_zero, random.below(2) == 0);
              if (testing::Test::HasFatalFailure()) return;
            }
          }
        }
      }
    }
  }
}

TEST_P(Selection, ByHand) {
  AlignedVector<float> score(64);
  std::copy_n(std::initializer_list<float>{3, 1, 4, 1, 5, 9, 2, 6, 5, 0}.begin(), 10,
              score.begin());
  const Word eligible = 0b11'1101'1111;  // not index 5
  Word chosen = 0;
  const std::vector<int> samples{1};
  const Range range{0, 10};
  const auto select = [&](std::int64_t count, Ties ties, bool skip_zero) {
    ops_.select_top({samples}, {&range, 1}, {&count, 1}, ties, skip_zero, {score.data(), 0},
                    {&eligible, 0}, {&chosen, 0});
    return chosen;
  };
  EXPECT_EQ(select(2, Ties::exact, true), Word{0b00'1001'0000});      // 6, and the first 5
  EXPECT_EQ(select(2, Ties::threshold, true), Word{0b01'1001'0000});  // 6 and both 5
  EXPECT_EQ(select(7, Ties::exact, false), Word{0b01'1101'0111});     // of the two 1 the first
  EXPECT_EQ(select(9, Ties::exact, true), Word{0b01'1101'1111});      // the 0 is never taken
  EXPECT_EQ(select(9, Ties::exact, false), eligible);
  EXPECT_EQ(select(0, Ties::threshold, false), Word{0});
}

TEST_P(Selection, SmallRangesAgreeWithTheSort) {
  constexpr double kDensities[] = {0.0, 0.02, 0.5, 1.0};
  check_sizes(ops_, kSizes, kDensities, true);
}

// Larger than what a scan copies out whole: samples, misses and crowds of equal scores.
TEST_P(Selection, LargeRangesAgreeWithTheSort) {
  constexpr std::size_t kLarge[] = {70'001};
  constexpr double kDensities[] = {0.5, 1.0};
  check_sizes(ops_, kLarge, kDensities, false);
}

// Where the sample sees nothing of what matters: large scores only where it doesn't look (most of
// them in one place).
TEST_P(Selection, ResultDoesNotDependOnTheSample) {
  constexpr std::size_t kSize = 200'000;
  RandomStream random(8, Purpose::test);
  std::vector<float> score(round_up(kSize, kWordBits));
  std::vector<Word> eligible(score.size() / kWordBits, kAllBits);
  for (std::size_t length : {1, 100, 5000}) {
    for (std::size_t j = 0; j < kSize; ++j) score[j] = static_cast<float>(random.uniform());
    for (std::size_t i = 0; i < length; ++i) score[77'777 + i] += 10;
    for (std::int64_t count :
         {std::int64_t{1}, static_cast<std::int64_t>(length), std::int64_t{6000}}) {
      check_one(ops_, score, eligible, kSize, count, Ties::exact, false, false);
    }
  }
}

TEST_P(Selection, GroupsOfUnequalClients) {
  const std::vector<Range> ranges = make_ranges({257, 1, 1000, 33, 0, 64});
  const std::size_t size = padded_size(ranges);
  RandomStream random(9, Purpose::test);
  for (std::size_t clients : {1, 2, 7}) {
    Clients<float> score(clients, size);
    Clients<Word> eligible(clients, size / kWordBits), chosen(clients, size / kWordBits, 0x1234U);
    std::vector<std::int64_t> counts;
    for (std::size_t g = 0; g < clients; ++g) {
      fill_bits(random, ranges, 0.5, eligible[g]);
      for_each_index(ranges,
                     [&](std::size_t j) { score[g][j] = static_cast<float>(random.below(50)); });
      for (const Range& range : ranges) {
        counts.push_back(static_cast<std::int64_t>(random.below(range.size + 1)));
      }
    }
    const std::vector<int> samples = make_samples(clients);
    ops_.select_top({samples}, ranges, counts, Ties::exact, true, score.view(), eligible.view(),
                    chosen.view());
    for (std::size_t g = 0; g < clients; ++g) {
      for (std::size_t r = 0; r < ranges.size(); ++r) {
        const std::size_t word = ranges[r].begin / kWordBits;
        const std::vector<bool> expected =
            expected_choice(score[g] + ranges[r].begin, eligible[g] + word, ranges[r].size,
                            counts[g * ranges.size() + r], Ties::exact, true);
        for (std::size_t j = 0; j < ranges[r].size; ++j) {
          const bool unread = ((Word{0x1234} >> (j % kWordBits)) & 1U) != 0;
          ASSERT_EQ(test_bit(chosen[g] + word, j), samples[g] == 0 ? unread : expected[j]);
        }
      }
    }
  }
}

TEST_P(Selection, RefusesScoresThatAreNoNumbers) {
  const std::vector<Range> ranges = make_ranges({64, 70'001});
  const std::size_t size = padded_size(ranges);
  Clients<float> score(3, size, 1);
  Clients<Word> eligible(3, size / kWordBits, kAllBits), chosen(3, size / kWordBits, 0);
  const std::vector<int> samples{1, 0, 1};
  const std::size_t at = ranges[1].begin + 69'000;
  score[1][at] = kNan;  // sits out
  for (std::int64_t count : {0, 5, 100'000}) {
    const std::vector<std::int64_t> counts(6, count);
    const auto select = [&] {
      ops_.select_top({samples}, ranges, counts, Ties::exact, false, score.view(), eligible.view(),
                      chosen.view());
    };
    score[2][at] = 1;
    EXPECT_NO_THROW(select());
    for (float nan : {kNan, -kNan}) {
      score[2][at] = nan;
      try {
        select();
        FAIL() << "a score that is not a number was accepted";
      } catch (const InputError& error) {
        EXPECT_NE(std::string(error.what()).find("client 2 in range 1"), std::string::npos)
            << error.what();
      }
    }
    eligible[2][at / kWordBits] &= ~(Word{1} << (at % kWordBits));
    EXPECT_NO_THROW(select());
    set_bit(eligible[2], at);
  }
}

}  // namespace
}  // namespace fedselect::ops
