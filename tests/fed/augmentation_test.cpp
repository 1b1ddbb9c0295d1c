#include "fed/augmentation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <tuple>
#include <vector>

namespace fedselect {
namespace {

std::vector<ops::Placement> draw(const AugmentationConfig& config, std::size_t count,
                                 std::uint32_t pass = 0) {
  RandomStream random(1, Purpose::augmentation, 2, 3, pass);
  std::vector<ops::Placement> placements(count, {9, 9, true});
  draw_placements(config, random, placements);
  return placements;
}

TEST(Augmentation, DrawsEveryOffsetAndFlipEquallyOften) {
  constexpr int kPadding = 3;
  constexpr std::size_t kOutcomes = (2 * kPadding + 1) * (2 * kPadding + 1) * 2;
  constexpr std::size_t kEach = 400;
  std::map<std::tuple<int, int, bool>, double> counts;
  for (const auto& [dy, dx, flip] :
       draw({.crop_padding = kPadding, .flip = true}, kOutcomes * kEach))
    ++counts[{dy, dx, flip}];
  ASSERT_EQ(counts.size(), kOutcomes);
  for (const auto& [outcome, count] : counts) {
    const auto& [dy, dx, flip] = outcome;
    EXPECT_LE(std::abs(dy), kPadding);
    EXPECT_LE(std::abs(dx), kPadding);
    EXPECT_NEAR(count, kEach, 5 * std::sqrt(kEach));  // five deviations
  }
}

TEST(Augmentation, ChangesOnlyWhatIsAskedFor) {
  bool crops = false;
  bool flips = false;
  for (const auto& placement : draw({.crop_padding = 1}, 100)) {
    EXPECT_FALSE(placement.flip);
    crops |= placement.dy != 0 || placement.dx != 0;
  }
  for (const auto& placement : draw({.flip = true}, 100)) {
    EXPECT_TRUE(placement.dy == 0 && placement.dx == 0);
    flips |= placement.flip;
  }
  EXPECT_TRUE(crops && flips);
}

TEST(Augmentation, IsDrawnBySamplePositionAndPass) {
  const AugmentationConfig config{.crop_padding = 4, .flip = true};
  const auto many = draw(config, 50);
  auto few = draw(config, 20);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  EXPECT_NE(few, draw(config, 20, 1));
}

}  // namespace
}  // namespace fedselect
