#include "data/shift.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "data/corruption.hpp"

namespace fedselect {

namespace {

constexpr double kFullTurn = 360;
constexpr double kQuarterTurn = 90;
constexpr std::int32_t kNobody = -1;
/// Third word of the names of random streams: which part a sample is of, or a client's own draws.
constexpr std::uint32_t kClientDraws = 2;

struct Direction {
  double cosine;
  double sine;
};

/// Exact for multiples of 90 degrees.
Direction direction_of(double degrees) {
  const double quarters = degrees / kQuarterTurn;
  if (quarters == std::floor(quarters)) {
    constexpr std::array<Direction, 4> kQuarters{{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}};
    return kQuarters[static_cast<std::size_t>(std::fmod(quarters, 4) + 4) % kQuarters.size()];
  }
  const double angle = degrees * std::numbers::pi / (kFullTurn / 2);
  return {std::cos(angle), std::sin(angle)};
}

/// The client of each sample of a part. Refuses samples with two.
std::vector<std::int32_t> find_owners(const std::vector<Partition::Indices>& split,
                                      std::size_t samples, const char* key) {
  std::vector<std::int32_t> owners(samples, kNobody);
  for (std::size_t k = 0; k < split.size(); ++k)
    for (const auto i : split[k]) {
      auto& owner = owners[static_cast<std::size_t>(i)];
      if (owner != kNobody)
        throw KeyError(key, fmt::format("{}: sample {} belongs to the clients {} and {} (data are "
                                        "kept once, so both would see one shift): give it to one, "
                                        "or remove the key",
                                        key, i, owner, k));
      owner = static_cast<std::int32_t>(k);
    }
  return owners;
}

Corruption draw_kind(int channels, RandomStream& random) {
  std::vector<Corruption> kinds;
  for (std::size_t i = 0; i < kCorruptionNames.size(); ++i)
    if (corrupts(static_cast<Corruption>(i), channels)) kinds.push_back(static_cast<Corruption>(i));
  return kinds[random.below(kinds.size())];
}

Picture apply(const ClientShift& shift, Picture picture, RandomStream random) {
  if (shift.degrees != 0) picture = rotate(picture, shift.degrees);
  if (shift.corruption != Corruption::none)
    picture = corrupt(picture, shift.corruption, shift.severity, random);
  return picture;
}

}  // namespace

std::vector<ClientShift> draw_shifts(const DataConfig& config, std::uint64_t seed,
                                     std::size_t clients, int channels) {
  if (config.corruption > Corruption::any && !corrupts(config.corruption, channels))
    throw KeyError(
        "data.corruption",
        fmt::format("data.corruption = \"{}\" needs colour images (these have {} "
                    "channel): take another",
                    kCorruptionNames[static_cast<std::size_t>(config.corruption)], channels));
  std::vector<ClientShift> shifts;
  for (std::size_t k = 0; k < clients; ++k) {
    // Each value is drawn whether it is needed or not: no key changes what another one draws.
    RandomStream random(seed, Purpose::feature_shift, static_cast<std::uint32_t>(k), kClientDraws);
    const double turn = 2 * random.uniform() - 1;
    const auto severity = static_cast<int>(random.below(kMostSeverity)) + 1;
    const auto kind = draw_kind(channels, random);
    ClientShift shift;
    shift.degrees = config.rotation_kind == RotationKind::drawn
                        ? turn * config.rotation
                        : std::fmod(static_cast<double>(k) * config.rotation, kFullTurn);
    if (config.corruption != Corruption::none) {
      shift.corruption = config.corruption == Corruption::any ? kind : config.corruption;
      shift.severity =
          config.corruption_severity == 0 ? severity : static_cast<int>(config.corruption_severity);
    }
    shifts.push_back(shift);
  }
  return shifts;
}

Picture rotate(const Picture& picture, double degrees) {
  const auto [cosine, sine] = direction_of(degrees);
  const double middle_x = (picture.width - 1) / 2.0;
  const double middle_y = (picture.height - 1) / 2.0;
  const auto value = [&](int y, int x, int c) -> double {
    if (y < 0 || y >= picture.height || x < 0 || x >= picture.width) return 0;
    return picture.pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.width) +
                           static_cast<std::size_t>(x)) *
                              static_cast<std::size_t>(picture.channels) +
                          static_cast<std::size_t>(c)];
  };
  Picture out{picture.height, picture.width, picture.channels, {}};
  out.pixels.reserve(picture.pixels.size());
  for (int row = 0; row < picture.height; ++row)
    for (int column = 0; column < picture.width; ++column) {
      const double x = middle_x + cosine * (column - middle_x) - sine * (row - middle_y);
      const double y = middle_y + sine * (column - middle_x) + cosine * (row - middle_y);
      const double left = std::floor(x);
      const double top = std::floor(y);
      const double right_share = x - left;
      const double bottom_share = y - top;
      const auto x0 = static_cast<int>(left);
      const auto y0 = static_cast<int>(top);
      for (int c = 0; c < picture.channels; ++c) {
        const double above =
            value(y0, x0, c) * (1 - right_share) + value(y0, x0 + 1, c) * right_share;
        const double below =
            value(y0 + 1, x0, c) * (1 - right_share) + value(y0 + 1, x0 + 1, c) * right_share;
        out.pixels.push_back(static_cast<std::uint8_t>(
            std::lround(above * (1 - bottom_share) + below * bottom_share)));
      }
    }
  return out;
}

void shift_samples(Dataset& data, const Partition& partition, const DataConfig& config,
                   std::uint64_t seed, Communicator& comm) {
  if (config.corruption == Corruption::none && config.rotation == 0) return;
  const auto* key = config.corruption == Corruption::none ? "data.rotation" : "data.corruption";
  const auto shifts = draw_shifts(config, seed, partition.clients(), data.image.channels);
  for (const auto kind : kParts) {
    auto& part = data.part(kind);
    const auto& split = kind == PartKind::train ? partition.train : partition.test;
    const auto owners = find_owners(split, part.size, key);
    const auto size = data.image.size();
    const auto* before = reinterpret_cast<const std::uint8_t*>(part.pixels.get());
    part.pixels = comm.share_on_node(part.size * size, [&](std::span<std::byte> memory) {
      for (std::size_t i = 0; i < part.size; ++i) {
        Picture picture{data.image.height,
                        data.image.width,
                        data.image.channels,
                        {before + i * size, before + (i + 1) * size}};
        if (owners[i] != kNobody)
          picture = apply(shifts[static_cast<std::size_t>(owners[i])], std::move(picture),
                          {seed, Purpose::feature_shift, static_cast<std::uint32_t>(owners[i]),
                           static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(i)});
        std::copy_n(std::as_bytes(std::span(picture.pixels)).begin(), size,
                    memory.begin() + static_cast<std::ptrdiff_t>(i * size));
      }
    });
  }
  measure_pixels(data);
}

}  // namespace fedselect
