#include "data/corruptions/blur.hpp"

#include <array>
#include <cstddef>

#include "data/corruptions/filters.hpp"

namespace fedselect::corruptions {

namespace {

/// Side of the kernel of a defocused lens: the largest disk and what smoothing adds.
constexpr int kLensReach = 2;
constexpr std::size_t kLensSide = 2 * kLensReach + 1;
using Lens = std::array<std::array<double, kLensSide>, kLensSide>;

/// A disk of this radius, smoothed by a Gaussian of 3 x 3 pixels; single precision, as OpenCV's.
Lens make_lens(double radius, double sigma) {
  const auto inside = [&](int y, int x) { return x * x + y * y <= radius * radius; };
  float pixels = 0;
  for (int y = -kLensReach; y <= kLensReach; ++y)
    for (int x = -kLensReach; x <= kLensReach; ++x) pixels += inside(y, x) ? 1.0F : 0.0F;
  const auto smooth = gaussian_weights(sigma, 1);
  Lens lens{};
  for (int y = -kLensReach; y <= kLensReach; ++y)
    for (int x = -kLensReach; x <= kLensReach; ++x) {
      float sum = 0;
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx)
          if (inside(y + dy, x + dx))
            sum += static_cast<float>(smooth[dy == 0 ? 0 : 1]) *
                   static_cast<float>(smooth[dx == 0 ? 0 : 1]) / pixels;
      const int row = y + kLensReach;
      const int column = x + kLensReach;
      lens[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] =
          static_cast<double>(sum);
    }
  return lens;
}

}  // namespace

void blur_gaussian(Image& image, int severity) {
  constexpr Severities<double> kSigma{0.4, 0.6, 0.7, 0.8, 1};
  smooth(image, pick(kSigma, severity));
}

void blur_defocus(Image& image, int severity) {
  constexpr Severities<double> kRadius{0.3, 0.4, 0.5, 1, 1.5};
  constexpr Severities<double> kSigma{0.4, 0.5, 0.6, 0.2, 0.1};
  const auto lens = make_lens(pick(kRadius, severity), pick(kSigma, severity));
  const Image before = image;
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < image.width; ++x)
      for (std::size_t c = 0; c < image.channels; ++c) {
        double sum = 0;
        for (std::size_t i = 0; i < kLensSide; ++i)
          for (std::size_t j = 0; j < kLensSide; ++j)
            sum += lens[i][j] * before.at(inside(static_cast<std::ptrdiff_t>(y + i) - kLensReach,
                                                 image.height, Edge::mirror),
                                          inside(static_cast<std::ptrdiff_t>(x + j) - kLensReach,
                                                 image.width, Edge::mirror),
                                          c);
        image.at(y, x, c) = sum;
      }
}

void blur_glass(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kSigma{0.05, 0.25, 0.4, 0.25, 0.4};
  constexpr Severities<int> kPasses{1, 1, 1, 2, 2};
  constexpr std::size_t kReach = 1;  // pixels; rows and columns up to it stay
  const double sigma = pick(kSigma, severity);
  smooth(image, sigma);
  cut_to_bytes(image);
  for (int pass = 0; pass < pick(kPasses, severity); ++pass)
    for (std::size_t y = image.height - 1; y > kReach; --y)
      for (std::size_t x = image.width - 1; x > kReach; --x) {
        const auto left = static_cast<std::size_t>(random.below(2 * kReach));
        const auto up = static_cast<std::size_t>(random.below(2 * kReach));
        for (std::size_t c = 0; c < image.channels; ++c)
          image.at(y, x, c) = image.at(y - up, x - left, c);
      }
  smooth(image, sigma);
}

void blur_motion(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kRadius{6, 6, 6, 8, 9};
  constexpr Severities<double> kSigma{1, 1.5, 2, 2, 2.5};
  constexpr double kMostDegrees = 45;
  const double degrees = kMostDegrees * (2 * random.uniform() - 1);
  image = streak(image, pick(kRadius, severity), pick(kSigma, severity), degrees);
}

void blur_zoom(Image& image, int severity) {
  constexpr Severities<int> kSteps{7, 12, 16, 21, 26};  // magnifications 1, 1.01, ...
  constexpr double kStep = 1.01 - 1;
  const int steps = pick(kSteps, severity);
  Image sum = image;
  for (int i = 0; i < steps; ++i) {
    const auto larger = magnify(image, 1 + i * kStep);
    for (std::size_t k = 0; k < sum.values.size(); ++k) sum.values[k] += larger.values[k];
  }
  image = std::move(sum);
  change_values(image, [&](double x) { return x / (steps + 1); });
}

}  // namespace fedselect::corruptions
