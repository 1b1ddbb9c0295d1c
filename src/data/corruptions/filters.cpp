#include "data/corruptions/filters.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fedselect::corruptions {

namespace {

/// One axis of a symmetric filter.
template <class Index>
void filter_axis(Image& image, const std::vector<double>& weights, Edge edge, std::size_t length,
                 std::size_t lines, const Index& index) {
  std::vector<double> line(length);
  for (std::size_t n = 0; n < lines; ++n) {
    for (std::size_t i = 0; i < length; ++i) line[i] = image.values[index(n, i)];
    for (std::size_t i = 0; i < length; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(i);
      double sum = line[i] * weights[0];
      for (std::size_t k = weights.size() - 1; k > 0; --k) {
        const auto step = static_cast<std::ptrdiff_t>(k);
        sum += (line[inside(at - step, length, edge)] + line[inside(at + step, length, edge)]) *
               weights[k];
      }
      image.values[index(n, i)] = sum;
    }
  }
}

void filter(Image& image, const std::vector<double>& weights, Edge edge) {
  const std::size_t row = image.width * image.channels;
  filter_axis(image, weights, edge, image.height, row,
              [&](std::size_t n, std::size_t i) { return i * row + n; });
  filter_axis(image, weights, edge, image.width, image.height * image.channels,
              [&](std::size_t n, std::size_t i) {
                return (n / image.channels) * row + i * image.channels + n % image.channels;
              });
}

/// Where the pixels of a magnified line come from.
std::vector<double> magnified_places(std::size_t side, double factor) {
  const double crop = std::ceil(static_cast<double>(side) / factor);
  const double first = std::floor((static_cast<double>(side) - crop) / 2);
  const double grown = std::nearbyint(crop * factor);
  const double trimmed = std::floor((grown - static_cast<double>(side)) / 2);
  const double step = grown > 1 ? (crop - 1) / (grown - 1) : 0;
  std::vector<double> places;
  for (std::size_t i = 0; i < side; ++i)
    places.push_back(std::min(first + (static_cast<double>(i) + trimmed) * step, first + crop - 1));
  return places;
}

/// To the nearest of 16 bits, of which the upper 8 remain: so what is a whole byte stays it.
double through_16_bits(double x) {
  constexpr double kMost = 65535;
  constexpr double kStep = 257;  // of 16 bits to one of 8
  return std::floor(std::round(x * kMost) / kStep) / kWhite;
}

}  // namespace

std::size_t inside(std::ptrdiff_t i, std::size_t n, Edge edge) {
  const auto count = static_cast<std::ptrdiff_t>(n);
  if (edge == Edge::last || n == 1)
    return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(i, 0, count - 1));
  const std::ptrdiff_t twice = edge == Edge::repeat ? 1 : 0;
  const std::ptrdiff_t period = 2 * (count - 1 + twice);
  i = ((i % period) + period) % period;
  return static_cast<std::size_t>(i < count ? i : period - twice - i);
}

double inside(double x, std::size_t n, Edge edge) {
  if (n == 1) return 0;
  const auto last = static_cast<double>(n - 1);
  const double beyond = edge == Edge::repeat ? 0.5 : 0;  // from the last pixel to the mirror
  const double half = last + 2 * beyond;
  double place = std::fmod(std::abs(x + beyond), 2 * half);
  if (place > half) place = 2 * half - place;
  return std::clamp(place - beyond, 0.0, last);
}

std::vector<double> gaussian_weights(double sigma, int radius) {
  std::vector<double> weights;
  double sum = 0;
  for (int x = 0; x <= radius; ++x) {
    weights.push_back(std::exp(-0.5 / (sigma * sigma) * x * x));
    sum += x == 0 ? weights.back() : 2 * weights.back();
  }
  for (auto& weight : weights) weight /= sum;
  return weights;
}

void smooth(Image& image, double sigma, Edge edge, double reach) {
  if (sigma == 0) return;
  filter(image, gaussian_weights(sigma, static_cast<int>(std::trunc(reach * sigma + 0.5))), edge);
}

double interpolate(const Image& image, double y, double x, std::size_t channel) {
  const auto top = static_cast<std::size_t>(y);
  const auto left = static_cast<std::size_t>(x);
  const std::size_t bottom = std::min(top + 1, image.height - 1);
  const std::size_t right = std::min(left + 1, image.width - 1);
  const double down = y - static_cast<double>(top);
  const double across = x - static_cast<double>(left);
  // Of equal values, exactly that value.
  const auto between = [](double a, double b, double share) { return a + (b - a) * share; };
  return between(between(image.at(top, left, channel), image.at(top, right, channel), across),
                 between(image.at(bottom, left, channel), image.at(bottom, right, channel), across),
                 down);
}

Image magnify(const Image& image, double factor) {
  const auto rows = magnified_places(image.height, factor);
  const auto columns = magnified_places(image.width, factor);
  Image out{image.height, image.width, image.channels, {}};
  out.values.reserve(image.values.size());
  for (const double y : rows)
    for (const double x : columns)
      for (std::size_t c = 0; c < image.channels; ++c)
        out.values.push_back(interpolate(image, y, x, c));
  return out;
}

Image streak(const Image& image, double radius, double sigma, double degrees) {
  const int count = 2 * static_cast<int>(std::ceil(radius)) + 1;
  const double angle = degrees * std::numbers::pi / 180;
  std::vector<double> weights;
  double sum = 0;
  for (int i = 0; i < count; ++i) {
    weights.push_back(std::exp(-0.5 / (sigma * sigma) * i * i));
    sum += weights.back();
  }
  Image out{image.height, image.width, image.channels,
            std::vector<double>(image.values.size(), 0.0)};
  for (int i = 0; i < count; ++i) {
    const auto across = static_cast<std::ptrdiff_t>(std::ceil(i * std::cos(angle) - 0.5));
    const auto down = static_cast<std::ptrdiff_t>(std::ceil(i * std::sin(angle) - 0.5));
    const double weight = weights[static_cast<std::size_t>(i)] / sum;
    for (std::size_t y = 0; y < image.height; ++y)
      for (std::size_t x = 0; x < image.width; ++x)
        for (std::size_t c = 0; c < image.channels; ++c)
          out.at(y, x, c) +=
              weight *
              image.at(inside(static_cast<std::ptrdiff_t>(y) + down, image.height, Edge::last),
                       inside(static_cast<std::ptrdiff_t>(x) + across, image.width, Edge::last), c);
  }
  change_values(out, through_16_bits);
  return out;
}

}  // namespace fedselect::corruptions
