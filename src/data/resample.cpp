#include "data/resample.hpp"

#include <algorithm>
#include <cmath>

namespace fedselect {

namespace {

constexpr int kFractionBits = 22;  // 32 - 8 bits of a pixel - 2 to spare

/// One new pixel: weights of source pixels from `first` on, in fixed point.
struct Tap {
  int first = 0;
  std::vector<std::int32_t> weights;
};

double reach(Filter filter) { return filter == Filter::box ? 0.5 : 1.0; }

double weigh(Filter filter, double x) {
  if (filter == Filter::box) return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
  return std::max(0.0, 1.0 - std::abs(x));
}

std::vector<Tap> make_taps(int from, int to, Filter filter) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = reach(filter) * stretch;
  std::vector<Tap> taps;
  for (int i = 0; i < to; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(std::trunc(center - support + 0.5)), 0);
    const int end = std::min(static_cast<int>(std::trunc(center + support + 0.5)), from);
    std::vector<double> weights;
    double sum = 0;
    for (int x = first; x < end; ++x) {
      weights.push_back(weigh(filter, (x - center + 0.5) * (1.0 / stretch)));
      sum += weights.back();
    }
    Tap tap{first, {}};
    for (const double weight : weights)
      tap.weights.push_back(
          static_cast<std::int32_t>(std::trunc(0.5 + weight / sum * (1 << kFractionBits))));
    taps.push_back(std::move(tap));
  }
  return taps;
}

/// The weighted sum of values that stand `step` apart.
std::uint8_t apply(const Tap& tap, const std::uint8_t* values, std::size_t step) {
  std::int32_t sum = 1 << (kFractionBits - 1);
  for (const auto weight : tap.weights) {
    sum += *values * weight;
    values += step;
  }
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

Picture resample_rows(const Picture& in, int width, Filter filter) {
  Picture out{in.height, width, in.channels, {}};
  const auto channels = static_cast<std::size_t>(in.channels);
  const auto row = static_cast<std::size_t>(in.width) * channels;
  const auto taps = make_taps(in.width, width, filter);
  out.pixels.reserve(static_cast<std::size_t>(in.height) * taps.size() * channels);
  for (std::size_t y = 0; y < static_cast<std::size_t>(in.height); ++y)
    for (const auto& tap : taps)
      for (std::size_t c = 0; c < channels; ++c)
        out.pixels.push_back(
            apply(tap, &in.pixels[y * row + static_cast<std::size_t>(tap.first) * channels + c],
                  channels));
  return out;
}

Picture resample_columns(const Picture& in, int height, Filter filter) {
  Picture out{height, in.width, in.channels, {}};
  const auto row = static_cast<std::size_t>(in.width) * static_cast<std::size_t>(in.channels);
  const auto taps = make_taps(in.height, height, filter);
  out.pixels.reserve(taps.size() * row);
  for (const auto& tap : taps)
    for (std::size_t i = 0; i < row; ++i)
      out.pixels.push_back(
          apply(tap, &in.pixels[static_cast<std::size_t>(tap.first) * row + i], row));
  return out;
}

}  // namespace

Picture resample(const Picture& picture, int height, int width, Filter filter) {
  // A grid that is as it should be stays untouched, as in Pillow.
  Picture out = width == picture.width ? picture : resample_rows(picture, width, filter);
  return height == picture.height ? out : resample_columns(out, height, filter);
}

}  // namespace fedselect
