#include "data/corruptions/noise.hpp"

#include <cmath>

namespace fedselect::corruptions {

namespace {

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

}  // namespace

void add_gaussian_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kDeviation{0.04, 0.06, 0.08, 0.09, 0.10};
  const double deviation = pick(kDeviation, severity);
  change_values(image, [&](double x) { return x + deviation * random.normal(); });
}

void add_shot_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kPhotons{500, 250, 100, 75, 50};  // of a white value
  const double photons = pick(kPhotons, severity);
  change_values(image, [&](double x) { return draw_poisson(x * photons, random) / photons; });
}

void add_impulse_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kAmount{0.01, 0.02, 0.03, 0.05, 0.07};
  constexpr double kSalt = 0.5;
  const double amount = pick(kAmount, severity);
  change_values(image, [&](double x) {
    if (random.uniform() >= amount) return x;
    return random.uniform() < kSalt ? 1.0 : 0.0;
  });
}

void add_speckle_noise(Image& image, int severity, RandomStream& random) {
  constexpr Severities<double> kDeviation{0.06, 0.1, 0.12, 0.16, 0.2};
  const double deviation = pick(kDeviation, severity);
  change_values(image, [&](double x) { return x + x * (deviation * random.normal()); });
}

}  // namespace fedselect::corruptions
