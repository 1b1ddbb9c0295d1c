#include "data/corruptions/spatter.hpp"

#include <algorithm>
#include <array>

#include "data/corruptions/byte_layer.hpp"
#include "data/corruptions/filters.hpp"

namespace fedselect::corruptions {

namespace {

struct Spatter {
  double mean;       // of the layer of liquid
  double deviation;  // of it
  double sigma;      // of its smoothing
  double threshold;  // below which there is none
  double strength;   // of water; of mud the sigma of its outline
  bool is_mud;
};
constexpr Severities<Spatter> kSpatter{{{0.62, 0.1, 0.7, 0.7, 0.5, false},
                                        {0.65, 0.1, 0.8, 0.7, 0.5, false},
                                        {0.65, 0.3, 1, 0.69, 0.5, false},
                                        {0.65, 0.1, 0.7, 0.69, 0.6, true},
                                        {0.65, 0.1, 0.5, 0.68, 0.6, true}}};

using Colour = std::array<double, kColours>;
constexpr Colour kTurquoise{175 / kWhite, 238 / kWhite, 238 / kWhite};
constexpr Colour kBrown{63 / kWhite, 42 / kWhite, 20 / kWhite};

/// A channel of a colour; a picture without colours takes the brightness.
double shade(const Colour& colour, std::size_t channel, std::size_t channels) {
  return channels == kColours ? colour[channel] : luminance(colour.data(), kColours);
}

/// How much light comes through drops of this thickness: they are lit from the lower right, by the
/// distance from their outlines. Relative to the brightest.
std::vector<double> light_drops(const Image& liquid) {
  constexpr int kLow = 50;
  constexpr int kHigh = 150;
  constexpr int kFarthest = 20;  // pixels
  constexpr Kernel kSum{{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}};
  constexpr int kNine = 9;
  constexpr Kernel kRelief{{{-2, -1, 0}, {-1, 1, 1}, {0, 1, 2}}};
  constexpr auto kByte = static_cast<int>(kWhite);

  ByteLayer bytes{liquid.height, liquid.width, {}};
  for (const double value : liquid.values)
    bytes.values.push_back(static_cast<int>(std::clamp(value, 0.0, 1.0) * kWhite));
  auto relief = distances(find_edges(bytes, kLow, kHigh), kFarthest * kDistanceUnit);
  relief = weigh(relief, kSum, Edge::mirror);
  for (auto& value : relief.values) value /= kNine * kDistanceUnit;
  equalize(relief);
  relief = weigh(relief, kRelief, Edge::mirror);
  for (auto& value : relief.values) value = std::clamp(value, 0, kByte);
  relief = weigh(relief, kSum, Edge::mirror);

  std::vector<double> light;
  for (std::size_t i = 0; i < bytes.values.size(); ++i) {
    const int mean = (relief.values[i] + kNine / 2) / kNine;
    light.push_back(bytes.values[i] * mean);
  }
  const double most = *std::max_element(light.begin(), light.end());
  if (most > 0)  // else no drop fell
    for (auto& value : light) value /= most;
  return light;
}

/// How much mud covers each pixel.
std::vector<double> cover_with_mud(Image liquid, const Spatter& spatter) {
  constexpr double kThinnest = 0.8;
  change_values(liquid, [&](double x) { return x > spatter.threshold ? 1.0 : 0.0; });
  smooth(liquid, spatter.strength);
  change_values(liquid, [&](double x) { return x < kThinnest ? 0.0 : x; });
  return std::move(liquid.values);
}

}  // namespace

void add_spatter(Image& image, int severity, RandomStream& random) {
  const Spatter& spatter = pick(kSpatter, severity);
  auto liquid =
      draw_layer(image, [&] { return spatter.mean + spatter.deviation * random.normal(); });
  smooth(liquid, spatter.sigma);
  change_values(liquid, [&](double x) { return x < spatter.threshold ? 0.0 : x; });
  const auto amounts =
      spatter.is_mud ? cover_with_mud(std::move(liquid), spatter) : light_drops(liquid);
  for (std::size_t i = 0; i < image.values.size(); ++i) {
    const double amount = amounts[i / image.channels];
    const std::size_t channel = i % image.channels;
    if (spatter.is_mud)
      image.values[i] =
          image.values[i] * (1 - amount) + amount * shade(kBrown, channel, image.channels);
    else
      image.values[i] += spatter.strength * amount * shade(kTurquoise, channel, image.channels);
  }
}

}  // namespace fedselect::corruptions
