#include "data/shift.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/error.hpp"
#include "data/corruption.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

using Pixels = std::vector<std::uint8_t>;

constexpr std::uint64_t kSeed = 1;
constexpr int kColours = 3;

DataConfig make_config(Corruption corruption, std::int64_t severity) {
  DataConfig config;
  config.corruption = corruption;
  config.corruption_severity = severity;
  return config;
}

// Written down from the program itself: what a seed stands for must not change between versions.
TEST(Shift, KnownAnswers) {
  auto config = make_config(Corruption::any, 0);
  config.rotation = 45;
  const auto shifts = draw_shifts(config, kSeed, 3, kColours);
  ASSERT_EQ(shifts.size(), 3U);
  std::string found;
  for (const auto& shift : shifts)
    found +=
        fmt::format("{:.3f} {} {}\n", shift.degrees,
                    kCorruptionNames[static_cast<std::size_t>(shift.corruption)], shift.severity);
  EXPECT_EQ(found, "15.887 frost 2\n41.042 impulse-noise 2\n-24.826 motion-blur 2\n");
  RandomStream random(kSeed, Purpose::test);
  const Picture grey{1, 4, 1, {100, 100, 100, 100}};
  EXPECT_EQ(corrupt(grey, Corruption::shot_noise, 5, random).pixels, (Pixels{107, 122, 112, 76}));
}

TEST(Shift, AClientsDrawDependsOnNothingElse) {
  auto config = make_config(Corruption::any, 0);
  const auto all = draw_shifts(config, kSeed, 200, kColours);
  const auto few = draw_shifts(config, kSeed, 5, kColours);
  std::set<Corruption> kinds;
  std::set<int> severities;
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (k < few.size()) {
      EXPECT_EQ(all[k].corruption, few[k].corruption);
    }
    kinds.insert(all[k].corruption);
    severities.insert(all[k].severity);
  }
  EXPECT_EQ(kinds.size(), kCorruptionNames.size() - 2);
  EXPECT_EQ(severities, (std::set<int>{1, 2, 3, 4, 5}));
}

TEST(Shift, GreyImagesAreNeverSaturated) {
  for (const auto& shift : draw_shifts(make_config(Corruption::any, 1), kSeed, 500, 1))
    EXPECT_NE(shift.corruption, Corruption::saturate);
  EXPECT_THROW(draw_shifts(make_config(Corruption::saturate, 1), kSeed, 1, 1), KeyError);
}

TEST(Shift, StepsGoRound) {
  DataConfig config;
  config.rotation = 120;
  config.rotation_kind = RotationKind::steps;
  const auto shifts = draw_shifts(config, kSeed, 5, 1);
  for (std::size_t k = 0; k < shifts.size(); ++k)
    EXPECT_EQ(shifts[k].degrees, static_cast<double>(k % 3) * 120);
}

TEST(Shift, TurnsAnticlockwise) {
  const Picture picture{2, 2, 1, {1, 2, 3, 4}};
  EXPECT_EQ(rotate(picture, 90).pixels, (Pixels{2, 4, 1, 3}));
  EXPECT_EQ(rotate(picture, -90).pixels, (Pixels{3, 1, 4, 2}));
  EXPECT_EQ(rotate(picture, 180).pixels, (Pixels{4, 3, 2, 1}));
  EXPECT_EQ(rotate(picture, 360).pixels, picture.pixels);
  // A row that is set upright keeps what still is on the grid.
  EXPECT_EQ(rotate({1, 3, 1, {1, 2, 3}}, 90).pixels, (Pixels{0, 2, 0}));
}

TEST(Shift, AnyImageCanBeCorrupted) {
  for (const int side : {1, 2, 3, 7, 33})
    for (const int channels : {1, kColours})
      for (std::size_t i = 0; i < kCorruptionNames.size(); ++i) {
        const auto kind = static_cast<Corruption>(i);
        if (!corrupts(kind, channels)) continue;
        const auto size = static_cast<std::size_t>(side * side * channels);
        const Picture picture{side, side, channels, Pixels(size, 255)};
        for (int severity = 1; severity <= kMostSeverity; ++severity) {
          RandomStream random(kSeed, Purpose::test);
          const auto out = corrupt(picture, kind, severity, random);
          EXPECT_EQ(out.pixels.size(), size) << kCorruptionNames[i];
          EXPECT_EQ(out.height, side);
        }
      }
}

TEST(Shift, LeavesSamplesOfNobodyAlone) {
  auto data = testing::random_dataset(4, 2, {4, 4, 1}, 2);
  const auto before = data.train.pixels;
  auto config = make_config(Corruption::none, 1);
  config.rotation = 90;
  config.rotation_kind = RotationKind::steps;
  const Partition partition{{{3}, {1}}, {{0}, {1}}};
  const auto comm = make_self_communicator();
  shift_samples(data, partition, config, kSeed, *comm);
  const auto image = [&](const auto& pixels, std::size_t i) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(pixels.get()) + i * 16;
    return Pixels(begin, begin + 16);
  };
  for (const std::size_t same : {0U, 2U, 3U})
    EXPECT_EQ(image(data.train.pixels, same), image(before, same));
  EXPECT_EQ(image(data.train.pixels, 1), rotate({4, 4, 1, image(before, 1)}, 90).pixels);
}

}  // namespace
}  // namespace fedselect
