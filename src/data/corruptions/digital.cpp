#include "data/corruptions/digital.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "data/corruptions/filters.hpp"
#include "data/image_file.hpp"

namespace fedselect::corruptions {

namespace {

struct Point {
  double y;
  double x;
};
using Triangle = std::array<Point, 3>;

/// The image under the affine map that takes `from` to `to`; mirrored beyond the edge. Nothing
/// happens where either has no area, which tiny images and unlucky draws give.
Image carry(const Image& image, const Triangle& from, const Triangle& to) {
  constexpr double kNoArea = 1e-9;
  // Two sides of a triangle span the plane; the image is read where the inverse map points.
  const auto side = [](const Triangle& t, std::size_t i) {
    return Point{t[i].y - t[0].y, t[i].x - t[0].x};
  };
  const auto area = [](Point a, Point b) { return a.x * b.y - a.y * b.x; };
  const Point a = side(to, 1);
  const Point b = side(to, 2);
  const Point p = side(from, 1);
  const Point q = side(from, 2);
  const double whole = area(a, b);
  if (std::abs(whole) < kNoArea || std::abs(area(p, q)) < kNoArea) return image;
  Image out{image.height, image.width, image.channels, {}};
  out.values.reserve(image.values.size());
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < image.width; ++x) {
      const Point d{static_cast<double>(y) - to[0].y, static_cast<double>(x) - to[0].x};
      const double s = area(d, b) / whole;
      const double t = area(a, d) / whole;
      const double from_y = inside(from[0].y + s * p.y + t * q.y, image.height, Edge::mirror);
      const double from_x = inside(from[0].x + s * p.x + t * q.x, image.width, Edge::mirror);
      for (std::size_t c = 0; c < image.channels; ++c)
        out.values.push_back(interpolate(image, from_y, from_x, c));
    }
  return out;
}

/// The image read at shifted places, each in pixels; beyond the edge the last pixel is there twice.
Image displace(const Image& image, const Image& down, const Image& across) {
  Image out{image.height, image.width, image.channels, {}};
  out.values.reserve(image.values.size());
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < image.width; ++x) {
      const double from_y =
          inside(static_cast<double>(y) + down.at(y, x, 0), image.height, Edge::repeat);
      const double from_x =
          inside(static_cast<double>(x) + across.at(y, x, 0), image.width, Edge::repeat);
      for (std::size_t c = 0; c < image.channels; ++c)
        out.values.push_back(interpolate(image, from_y, from_x, c));
    }
  return out;
}

}  // namespace

void stretch(Image& image, int severity, RandomStream& random) {
  struct Elastic {
    double shift;  // what smoothed draws in [-1, 1] are multiplied by
    double sigma;  // of their smoothing
    double shear;  // by which each corner of the triangle moves at most
  };
  constexpr Severities<Elastic> kElastic{
      {{0, 0, 2.56}, {1.6, 6.4, 2.24}, {2.56, 1.92, 1.92}, {3.2, 1.28, 1.6}, {3.2, 0.96, 0.96}}};
  constexpr double kReach = 3;  // sigmas
  const Elastic& elastic = pick(kElastic, severity);
  const auto draw = [&] { return 2 * random.uniform() - 1; };

  // Whole pixels, downwards.
  const std::size_t middle_y = image.height / 2;
  const std::size_t middle_x = image.width / 2;
  const std::size_t third = std::min(image.height, image.width) / 3;
  const auto y = static_cast<double>(middle_y);
  const auto x = static_cast<double>(middle_x);
  const auto leg = static_cast<double>(third);
  const Triangle corners{{{y + leg, x + leg}, {y - leg, x + leg}, {y - leg, x - leg}}};
  Triangle moved = corners;
  for (auto& corner : moved) {
    corner.x += elastic.shear * draw();
    corner.y += elastic.shear * draw();
  }
  const auto draw_shifts = [&] {
    auto shifts = draw_layer(image, draw);
    smooth(shifts, elastic.sigma, Edge::repeat, kReach);
    change_values(shifts, [&](double v) { return v * elastic.shift; });
    return shifts;
  };
  const auto across = draw_shifts();
  const auto down = draw_shifts();
  image = displace(carry(image, corners, moved), down, across);
}

Picture pixelate(const Picture& picture, int severity) {
  constexpr Severities<double> kFactor{0.95, 0.9, 0.85, 0.75, 0.65};
  const double factor = pick(kFactor, severity);
  const auto coarse = [&](int side) { return std::max(1, static_cast<int>(side * factor)); };
  return resample(resample(picture, coarse(picture.height), coarse(picture.width), Filter::box),
                  picture.height, picture.width, Filter::box);
}

Picture compress(const Picture& picture, int severity) {
  constexpr Severities<int> kQuality{80, 65, 58, 50, 40};
  return through_jpeg(picture, pick(kQuality, severity));
}

}  // namespace fedselect::corruptions
