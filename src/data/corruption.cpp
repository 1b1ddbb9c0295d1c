#include "data/corruption.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "data/image_file.hpp"

namespace fedselect {

namespace {

constexpr double kWhite = 255;
constexpr int kColours = 3;

/// A parameter's values for severities 1 to 5.
template <class T>
using Severities = std::array<T, kMostSeverity>;

/// A picture whose values are in [0, 1], but for what an operation does to them.
struct Image {
  std::size_t height;
  std::size_t width;
  std::size_t channels;
  std::vector<double> values;

  double& at(std::size_t y, std::size_t x, std::size_t c) {
    return values[(y * width + x) * channels + c];
  }
  double at(std::size_t y, std::size_t x, std::size_t c) const {
    return values[(y * width + x) * channels + c];
  }
};

Image to_unit(const Picture& picture) {
  Image image{static_cast<std::size_t>(picture.height),
              static_cast<std::size_t>(picture.width),
              static_cast<std::size_t>(picture.channels),
              {}};
  for (const auto pixel : picture.pixels) image.values.push_back(pixel / kWhite);
  return image;
}

/// Cuts to [0, 1], then to whole pixels, downwards.
Picture to_picture(const Image& image, const Picture& like) {
  Picture picture{like.height, like.width, like.channels, {}};
  picture.pixels.reserve(image.values.size());
  for (const double value : image.values)
    picture.pixels.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 1.0) * kWhite));
  return picture;
}

template <class Change>
void change_values(Image& image, const Change& change) {
  for (auto& value : image.values) value = change(value);
}

// ---- noise

/// Poisson of this mean. Source: Hoermann, Insurance: Mathematics and Economics 12 (1993), PTRS;
/// below 10 by multiplication (Knuth).
double draw_poisson(double mean, RandomStream& random) {
  if (mean <= 0) return 0;
  if (mean < 10) {
    const double least = std::exp(-mean);
    double product = random.uniform();
    double count = 0;
    for (; product > least; ++count) product *= random.uniform();
    return count;
  }
  const double b = 0.931 + 2.53 * std::sqrt(mean);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double squeeze = 0.9277 - 3.6224 / (b - 2);
  while (true) {
    const double u = random.uniform() - 0.5;
    const double v = random.uniform();
    const double reach = 0.5 - std::abs(u);
    const double k = std::floor((2 * a / reach + b) * u + mean + 0.43);
    if (reach >= 0.07 && v <= squeeze) return k;
    if (k < 0 || (reach < 0.013 && v > reach)) continue;
    if (std::log(v) + std::log(inverse_alpha) - std::log(a / (reach * reach) + b) <=
        -mean + k * std::log(mean) - std::lgamma(k + 1))
      return k;
  }
}

void add_gaussian_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kDeviation{0.04, 0.06, 0.08, 0.09, 0.10};
  const double deviation = kDeviation[static_cast<std::size_t>(severity - 1)];
  change_values(image, [&](double x) { return x + deviation * random.normal(); });
}

void add_shot_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kPhotons{500, 250, 100, 75, 50};  // of a white value
  const double photons = kPhotons[static_cast<std::size_t>(severity - 1)];
  change_values(image, [&](double x) { return draw_poisson(x * photons, random) / photons; });
}

void add_impulse_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kAmount{0.01, 0.02, 0.03, 0.05, 0.07};
  constexpr double kSalt = 0.5;
  const double amount = kAmount[static_cast<std::size_t>(severity - 1)];
  change_values(image, [&](double x) {
    if (random.uniform() >= amount) return x;
    return random.uniform() < kSalt ? 1.0 : 0.0;
  });
}

void add_speckle_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kDeviation{0.06, 0.1, 0.12, 0.16, 0.2};
  const double deviation = kDeviation[static_cast<std::size_t>(severity - 1)];
  change_values(image, [&](double x) { return x + x * (deviation * random.normal()); });
}

// ---- blur

/// Weights 0, 1, ..., radius of a normalised Gaussian.
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

/// One axis of a symmetric filter; beyond the edge its last pixel goes on.
template <class Index>
void blur_axis(Image& image, const std::vector<double>& weights, std::size_t length,
               std::size_t lines, const Index& index) {
  std::vector<double> line(length);
  const auto last = static_cast<std::ptrdiff_t>(length) - 1;
  const auto value = [&](std::ptrdiff_t i) {
    return line[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(i, 0, last))];
  };
  for (std::size_t n = 0; n < lines; ++n) {
    for (std::size_t i = 0; i < length; ++i) line[i] = image.values[index(n, i)];
    for (std::size_t i = 0; i < length; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(i);
      double sum = line[i] * weights[0];
      for (std::size_t k = weights.size() - 1; k > 0; --k) {
        const auto step = static_cast<std::ptrdiff_t>(k);
        sum += (value(at - step) + value(at + step)) * weights[k];
      }
      image.values[index(n, i)] = sum;
    }
  }
}

void blur_gaussian(Image& image, int severity) {
  constexpr Severities<double> kSigma{0.4, 0.6, 0.7, 0.8, 1};
  constexpr double kTruncate = 4;  // of sigma
  const double sigma = kSigma[static_cast<std::size_t>(severity - 1)];
  const auto weights =
      gaussian_weights(sigma, static_cast<int>(std::trunc(kTruncate * sigma + 0.5)));
  const std::size_t row = image.width * image.channels;
  blur_axis(image, weights, image.height, row,
            [&](std::size_t n, std::size_t i) { return i * row + n; });
  blur_axis(image, weights, image.width, image.height * image.channels,
            [&](std::size_t n, std::size_t i) {
              return (n / image.channels) * row + i * image.channels + n % image.channels;
            });
}

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

/// Index i of a line of n pixels that is mirrored at its first and last pixel.
std::size_t mirror(std::ptrdiff_t i, std::size_t n) {
  if (n == 1) return 0;
  const auto last = static_cast<std::ptrdiff_t>(n) - 1;
  while (i < 0 || i > last) i = i < 0 ? -i : 2 * last - i;
  return static_cast<std::size_t>(i);
}

void blur_defocus(Image& image, int severity) {
  constexpr Severities<double> kRadius{0.3, 0.4, 0.5, 1, 1.5};
  constexpr Severities<double> kSigma{0.4, 0.5, 0.6, 0.2, 0.1};
  const auto s = static_cast<std::size_t>(severity - 1);
  const auto lens = make_lens(kRadius[s], kSigma[s]);
  const Image before = image;
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < image.width; ++x)
      for (std::size_t c = 0; c < image.channels; ++c) {
        double sum = 0;
        for (std::size_t i = 0; i < kLensSide; ++i)
          for (std::size_t j = 0; j < kLensSide; ++j)
            sum +=
                lens[i][j] *
                before.at(mirror(static_cast<std::ptrdiff_t>(y + i) - kLensReach, image.height),
                          mirror(static_cast<std::ptrdiff_t>(x + j) - kLensReach, image.width), c);
        image.at(y, x, c) = sum;
      }
}

// ---- colour

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

void brighten(Image& image, int severity) {
  constexpr Severities<double> kMore{0.05, 0.1, 0.15, 0.2, 0.3};
  const double more = kMore[static_cast<std::size_t>(severity - 1)];
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
  const auto s = static_cast<std::size_t>(severity - 1);
  for (std::size_t i = 0; i < image.values.size(); i += kColours) {
    auto hsv = to_hsv(&image.values[i]);
    hsv[1] = std::clamp(hsv[1] * kFactor[s] + kMore[s], 0.0, 1.0);
    from_hsv(hsv, &image.values[i]);
  }
}

void reduce_contrast(Image& image, int severity) {
  constexpr Severities<double> kFactor{0.75, 0.5, 0.4, 0.3, 0.15};
  const double factor = kFactor[static_cast<std::size_t>(severity - 1)];
  const auto pixels = static_cast<double>(image.height * image.width);
  for (std::size_t c = 0; c < image.channels; ++c) {
    double mean = 0;
    for (std::size_t i = c; i < image.values.size(); i += image.channels) mean += image.values[i];
    mean /= pixels;
    for (std::size_t i = c; i < image.values.size(); i += image.channels)
      image.values[i] = (image.values[i] - mean) * factor + mean;
  }
}

// ---- what works on 8 bits

Picture pixelate(const Picture& picture, int severity) {
  constexpr Severities<double> kFactor{0.95, 0.9, 0.85, 0.75, 0.65};
  const double factor = kFactor[static_cast<std::size_t>(severity - 1)];
  const auto coarse = [&](int side) { return std::max(1, static_cast<int>(side * factor)); };
  return resample(resample(picture, coarse(picture.height), coarse(picture.width), Filter::box),
                  picture.height, picture.width, Filter::box);
}

Picture compress(const Picture& picture, int severity) {
  constexpr Severities<int> kQuality{80, 65, 58, 50, 40};
  return through_jpeg(picture, kQuality[static_cast<std::size_t>(severity - 1)]);
}

void change_image(Image& image, Corruption kind, int severity, RandomStream& random) {
  switch (kind) {
    case Corruption::gaussian_noise: return add_gaussian_noise(image, severity, random);
    case Corruption::shot_noise: return add_shot_noise(image, severity, random);
    case Corruption::impulse_noise: return add_impulse_noise(image, severity, random);
    case Corruption::speckle_noise: return add_speckle_noise(image, severity, random);
    case Corruption::gaussian_blur: return blur_gaussian(image, severity);
    case Corruption::defocus_blur: return blur_defocus(image, severity);
    case Corruption::brightness: return brighten(image, severity);
    case Corruption::contrast: return reduce_contrast(image, severity);
    case Corruption::saturate: return saturate(image, severity);
    default: throw std::logic_error("not a kind of corruption");
  }
}

}  // namespace

bool corrupts(Corruption kind, int channels) {
  return kind > Corruption::any && (kind != Corruption::saturate || channels == kColours);
}

Picture corrupt(const Picture& picture, Corruption kind, int severity, RandomStream& random) {
  if (kind == Corruption::pixelate) return pixelate(picture, severity);
  if (kind == Corruption::jpeg) return compress(picture, severity);
  auto image = to_unit(picture);
  change_image(image, kind, severity, random);
  return to_picture(image, picture);
}

}  // namespace fedselect
