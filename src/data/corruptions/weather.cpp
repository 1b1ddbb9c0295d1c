#include "data/corruptions/weather.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "data/corruptions/filters.hpp"

namespace fedselect::corruptions {

namespace {

double draw_between(double low, double high, RandomStream& random) {
  return low + (high - low) * random.uniform();
}

// ---- snow

struct Snow {
  double mean;       // of the layer of flakes
  double deviation;  // of it
  double magnification;
  double threshold;  // below which there is no flake
  double radius;     // of streaks
  double sigma;      // of streaks
  double keep;       // of the picture; the rest is whitened
};
constexpr Severities<Snow> kSnow{{{0.1, 0.2, 1, 0.6, 8, 3, 0.95},
                                  {0.1, 0.2, 1, 0.5, 10, 4, 0.9},
                                  {0.15, 0.3, 1.75, 0.55, 10, 4, 0.9},
                                  {0.25, 0.3, 2.25, 0.6, 12, 6, 0.85},
                                  {0.3, 0.3, 1.25, 0.65, 14, 12, 0.8}}};

Image draw_flakes(const Image& like, const Snow& snow, RandomStream& random) {
  auto layer =
      magnify(draw_layer(like, [&] { return snow.mean + snow.deviation * random.normal(); }),
              snow.magnification);
  change_values(layer, [&](double x) { return x < snow.threshold ? 0.0 : x; });
  cut_to_bytes(layer);
  return streak(layer, snow.radius, snow.sigma, draw_between(-135, -45, random));
}

// ---- frost

struct Frost {
  double picture;  // weight
  double ice;      // weight
};
constexpr Severities<Frost> kFrost{{{1, 0.2}, {1, 0.3}, {0.9, 0.4}, {0.85, 0.4}, {0.75, 0.45}}};

/// Uniform values on a grid of so many pixels, linear between them, folded at 1/2 into ridges.
Image draw_ridges(const Image& like, std::size_t spacing, RandomStream& random) {
  const Image points{(like.height - 1) / spacing + 2, (like.width - 1) / spacing + 2, 1, {}};
  const auto grid = draw_layer(points, [&] { return random.uniform(); });
  Image ridges{like.height, like.width, 1, {}};
  ridges.values.reserve(like.height * like.width);
  const auto step = static_cast<double>(spacing);
  for (std::size_t y = 0; y < like.height; ++y)
    for (std::size_t x = 0; x < like.width; ++x) {
      const double value =
          interpolate(grid, static_cast<double>(y) / step, static_cast<double>(x) / step, 0);
      const double ridge = 1 - std::abs(2 * value - 1);
      ridges.values.push_back(ridge * ridge);
    }
  return ridges;
}

/// In [0, 1].
Image draw_ice(const Image& like, RandomStream& random) {
  struct Octave {
    std::size_t spacing;
    double weight;
  };
  constexpr std::array<Octave, 3> kOctaves{{{8, 0.5}, {4, 0.3}, {2, 0.2}}};
  Image ice{like.height, like.width, 1, std::vector<double>(like.height * like.width, 0.0)};
  for (const auto& octave : kOctaves) {
    const auto ridges = draw_ridges(like, octave.spacing, random);
    for (std::size_t i = 0; i < ice.values.size(); ++i)
      ice.values[i] += octave.weight * ridges.values[i];
  }
  return ice;
}

// ---- fog

struct Fog {
  double thickness;
  double decay;  // of the fractal's roughness from one scale to the next
};
constexpr Severities<Fog> kFog{{{0.2, 3}, {0.5, 3}, {0.75, 2.5}, {1, 2}, {1.5, 1.75}}};
constexpr std::size_t kLeastPlasma = 32;

/// Heights in [0, 1] on a torus of side x side points; the side is a power of two. Diamond-square:
/// each middle is the mean of its four neighbours and a uniform draw of +-roughness^2. Source:
/// Fournier, Fussell, Carpenter, CACM 25 (1982).
Image draw_plasma(std::size_t side, double decay, RandomStream& random) {
  Image map{side, side, 1, std::vector<double>(side * side, 0.0)};
  double roughness = 100;
  for (std::size_t step = side; step >= 2; step /= 2) {
    const std::size_t half = step / 2;
    const auto point = [&](std::size_t y, std::size_t x) { return map.at(y % side, x % side, 0); };
    const auto draw = [&](double sum) {
      return sum / 4 + roughness * draw_between(-roughness, roughness, random);
    };
    for (std::size_t y = 0; y < side; y += step)
      for (std::size_t x = 0; x < side; x += step)
        map.at(y + half, x + half, 0) =
            draw(point(y, x) + point(y, x + step) + point(y + step, x) + point(y + step, x + step));
    // The middles of a square's sides have the square's middle and its neighbour's beside them.
    const auto cross = [&](std::size_t y, std::size_t x) {
      return point(y + side - half, x) + point(y + half, x) + point(y, x + side - half) +
             point(y, x + half);
    };
    for (std::size_t y = 0; y < side; y += step)
      for (std::size_t x = half; x < side; x += step) map.at(y, x, 0) = draw(cross(y, x));
    for (std::size_t y = half; y < side; y += step)
      for (std::size_t x = 0; x < side; x += step) map.at(y, x, 0) = draw(cross(y, x));
    roughness /= decay;
  }
  const auto [least, most] = std::minmax_element(map.values.begin(), map.values.end());
  const double low = *least;
  const double range = *most - low;
  change_values(map, [&](double x) { return (x - low) / range; });
  return map;
}

}  // namespace

void add_snow(Image& image, int severity, RandomStream& random) {
  constexpr double kWhiterTimes = 1.5;
  constexpr double kWhiterPlus = 0.5;
  const Snow& snow = pick(kSnow, severity);
  const auto flakes = draw_flakes(image, snow, random);
  const std::size_t pixels = flakes.values.size();
  for (std::size_t i = 0; i < pixels; ++i) {
    double* colour = &image.values[i * image.channels];
    const double white = luminance(colour, image.channels) * kWhiterTimes + kWhiterPlus;
    for (std::size_t c = 0; c < image.channels; ++c)
      colour[c] = snow.keep * colour[c] + (1 - snow.keep) * std::max(colour[c], white) +
                  flakes.values[i] + flakes.values[pixels - 1 - i];
  }
}

void add_frost(Image& image, int severity, RandomStream& random) {
  const Frost& frost = pick(kFrost, severity);
  const auto ice = draw_ice(image, random);
  for (std::size_t i = 0; i < image.values.size(); ++i)
    image.values[i] = frost.picture * image.values[i] + frost.ice * ice.values[i / image.channels];
}

void add_fog(Image& image, int severity, RandomStream& random) {
  const Fog& fog = pick(kFog, severity);
  const auto plasma = draw_plasma(
      std::bit_ceil(std::max({image.height, image.width, kLeastPlasma})), fog.decay, random);
  const double brightest = *std::max_element(image.values.begin(), image.values.end());
  const double scale = brightest / (brightest + fog.thickness);
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < image.width; ++x)
      for (std::size_t c = 0; c < image.channels; ++c)
        image.at(y, x, c) = (image.at(y, x, c) + fog.thickness * plasma.at(y, x, 0)) * scale;
}

}  // namespace fedselect::corruptions
