#include "data/corruptions/byte_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <utility>

namespace fedselect::corruptions {

namespace {

constexpr int kBytes = 256;

struct Gradients {
  ByteLayer across;
  ByteLayer down;
  ByteLayer size;
};

Gradients find_gradients(const ByteLayer& layer) {
  constexpr Kernel kAcross{{{-1, 0, 1}, {-2, 0, 2}, {-1, 0, 1}}};
  constexpr Kernel kDown{{{-1, -2, -1}, {0, 0, 0}, {1, 2, 1}}};
  Gradients found{weigh(layer, kAcross, Edge::last), weigh(layer, kDown, Edge::last), layer};
  for (std::size_t i = 0; i < layer.values.size(); ++i)
    found.size.values[i] = std::abs(found.across.values[i]) + std::abs(found.down.values[i]);
  return found;
}

/// Whether the gradient is largest here along its own direction: across, down, or a diagonal.
bool is_ridge(const Gradients& gradients, std::size_t row, std::size_t column) {
  constexpr double kTangent = 0.41421356237309503;  // of 22.5 degrees; of 67.5 it is 2 more
  const auto y = static_cast<std::ptrdiff_t>(row);
  const auto x = static_cast<std::ptrdiff_t>(column);
  const auto beside = [&](int down, int right) {
    return gradients.size.at_or(y + down, x + right, 0);
  };
  const int size = gradients.size.at(row, column);
  const int dx = gradients.across.at(row, column);
  const int dy = gradients.down.at(row, column);
  if (std::abs(dy) < std::abs(dx) * kTangent) return size > beside(0, -1) && size >= beside(0, 1);
  if (std::abs(dy) > std::abs(dx) * (kTangent + 2))
    return size > beside(-1, 0) && size >= beside(1, 0);
  const int way = (dx < 0) != (dy < 0) ? -1 : 1;
  return size > beside(-1, -way) && size > beside(1, way);
}

}  // namespace

bool ByteLayer::has(std::ptrdiff_t y, std::ptrdiff_t x) const {
  return y >= 0 && x >= 0 && y < static_cast<std::ptrdiff_t>(height) &&
         x < static_cast<std::ptrdiff_t>(width);
}

int ByteLayer::at_or(std::ptrdiff_t y, std::ptrdiff_t x, int outside) const {
  return has(y, x) ? at(static_cast<std::size_t>(y), static_cast<std::size_t>(x)) : outside;
}

ByteLayer weigh(const ByteLayer& layer, const Kernel& kernel, Edge edge) {
  ByteLayer out = layer;
  for (std::size_t y = 0; y < layer.height; ++y)
    for (std::size_t x = 0; x < layer.width; ++x) {
      int sum = 0;
      for (std::size_t i = 0; i < kernel.size(); ++i)
        for (std::size_t j = 0; j < kernel.size(); ++j)
          sum += kernel[i][j] *
                 layer.at(inside(static_cast<std::ptrdiff_t>(y + i) - 1, layer.height, edge),
                          inside(static_cast<std::ptrdiff_t>(x + j) - 1, layer.width, edge));
      out.at(y, x) = sum;
    }
  return out;
}

ByteLayer find_edges(const ByteLayer& layer, int low, int high) {
  constexpr int kPerhaps = 2;
  const auto gradients = find_gradients(layer);
  ByteLayer edges = layer;
  std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> found;
  for (std::size_t y = 0; y < layer.height; ++y)
    for (std::size_t x = 0; x < layer.width; ++x) {
      const int size = gradients.size.at(y, x);
      edges.at(y, x) = 0;
      if (size <= low || !is_ridge(gradients, y, x)) continue;
      edges.at(y, x) = size > high ? 1 : kPerhaps;
      if (size > high) found.emplace_back(y, x);
    }
  while (!found.empty()) {
    const auto [y, x] = found.back();
    found.pop_back();
    for (int i = -1; i <= 1; ++i)
      for (int j = -1; j <= 1; ++j) {
        if (edges.at_or(y + i, x + j, 0) != kPerhaps) continue;
        edges.at(static_cast<std::size_t>(y + i), static_cast<std::size_t>(x + j)) = 1;
        found.emplace_back(y + i, x + j);
      }
  }
  std::replace(edges.values.begin(), edges.values.end(), kPerhaps, 0);
  return edges;
}

ByteLayer distances(const ByteLayer& marks, int most) {
  struct Step {
    int down;
    int right;
    int length;
  };
  constexpr int kStraight = kDistanceUnit;
  constexpr int kDiagonal = 91750;  // 1.4
  constexpr int kKnight = 143976;   // 2.1969
  // What has been visited before a pixel, reading forwards; negated, reading backwards.
  constexpr std::array<Step, 8> kSteps{{{-2, -1, kKnight},
                                        {-2, 1, kKnight},
                                        {-1, -2, kKnight},
                                        {-1, -1, kDiagonal},
                                        {-1, 0, kStraight},
                                        {-1, 1, kDiagonal},
                                        {-1, 2, kKnight},
                                        {0, -1, kStraight}}};
  ByteLayer out = marks;
  for (auto& value : out.values) value = value != 0 ? 0 : most;
  const auto shorten = [&](std::size_t i, int sign) {
    const auto y = static_cast<std::ptrdiff_t>(i / out.width);
    const auto x = static_cast<std::ptrdiff_t>(i % out.width);
    for (const auto& step : kSteps)
      out.values[i] =
          std::min(out.values[i],
                   out.at_or(y + sign * step.down, x + sign * step.right, most) + step.length);
  };
  for (std::size_t i = 0; i < out.values.size(); ++i) shorten(i, 1);
  for (std::size_t i = out.values.size(); i > 0; --i) shorten(i - 1, -1);
  return out;
}

void equalize(ByteLayer& layer) {
  std::array<int, kBytes> counts{};
  for (const int value : layer.values) ++counts[static_cast<std::size_t>(value)];
  const int least = *std::min_element(layer.values.begin(), layer.values.end());
  const auto others =
      static_cast<int>(layer.values.size()) - counts[static_cast<std::size_t>(least)];
  if (others == 0) return;
  const float scale = static_cast<float>(kBytes - 1) / static_cast<float>(others);
  std::array<int, kBytes> places{};
  int sum = 0;
  for (auto value = static_cast<std::size_t>(least) + 1; value < places.size(); ++value) {
    sum += counts[value];
    places[value] = static_cast<int>(std::lrint(static_cast<float>(sum) * scale));
  }
  for (auto& value : layer.values) value = places[static_cast<std::size_t>(value)];
}

}  // namespace fedselect::corruptions
