#include "data/corruptions/colour.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace fedselect::corruptions {

namespace {

/// Hue, saturation, value in [0, 1]; formulas and their order are scikit-image's.
std::array<double, kColours> to_hsv(const double* rgb) {
  const double value = std::max({rgb[0], rgb[1], rgb[2]});
  const double delta = value - std::min({rgb[0], rgb[1], rgb[2]});
  if (delta == 0) return {0, 0, value};
  double hue = 0;
  if (rgb[2] == value)
    hue = 4 + (rgb[0] - rgb[1]) / delta;
  else if (rgb[1] == value)
    hue = 2 + (rgb[2] - rgb[0]) / delta;
  else
    hue = (rgb[1] - rgb[2]) / delta;
  hue /= 6;
  return {hue - std::floor(hue), delta / value, value};
}

void from_hsv(const std::array<double, kColours>& hsv, double* rgb) {
  const auto [hue, saturation, value] = hsv;
  const double sector = std::floor(hue * 6);
  const double f = hue * 6 - sector;
  const double p = value * (1 - saturation);
  const double q = value * (1 - f * saturation);
  const double t = value * (1 - (1 - f) * saturation);
  const std::array<std::array<double, kColours>, 6> sectors{
      {{value, t, p}, {q, value, p}, {p, value, t}, {p, q, value}, {t, p, value}, {value, p, q}}};
  std::copy_n(sectors[static_cast<std::size_t>(sector) % sectors.size()].begin(), kColours, rgb);
}

}  // namespace

void brighten(Image& image, int severity) {
  constexpr Severities<double> kMore{0.05, 0.1, 0.15, 0.2, 0.3};
  const double more = pick(kMore, severity);
  if (image.channels != kColours)
    return change_values(image, [&](double x) { return std::clamp(x + more, 0.0, 1.0); });
  for (std::size_t i = 0; i < image.values.size(); i += kColours) {
    auto hsv = to_hsv(&image.values[i]);
    hsv[2] = std::clamp(hsv[2] + more, 0.0, 1.0);
    from_hsv(hsv, &image.values[i]);
  }
}

void saturate(Image& image, int severity) {
  constexpr Severities<double> kFactor{0.3, 0.1, 1.5, 2, 2.5};
  constexpr Severities<double> kMore{0, 0, 0, 0.1, 0.2};
  for (std::size_t i = 0; i < image.values.size(); i += kColours) {
    auto hsv = to_hsv(&image.values[i]);
    hsv[1] = std::clamp(hsv[1] * pick(kFactor, severity) + pick(kMore, severity), 0.0, 1.0);
    from_hsv(hsv, &image.values[i]);
  }
}

void reduce_contrast(Image& image, int severity) {
  constexpr Severities<double> kFactor{0.75, 0.5, 0.4, 0.3, 0.15};
  const double factor = pick(kFactor, severity);
  const auto pixels = static_cast<double>(image.height * image.width);
  for (std::size_t c = 0; c < image.channels; ++c) {
    double mean = 0;
    for (std::size_t i = c; i < image.values.size(); i += image.channels) mean += image.values[i];
    mean /= pixels;
    for (std::size_t i = c; i < image.values.size(); i += image.channels)
      image.values[i] = (image.values[i] - mean) * factor + mean;
  }
}

}  // namespace fedselect::corruptions
