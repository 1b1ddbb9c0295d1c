#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "data/corruption.hpp"
#include "data/resample.hpp"

namespace fedselect::corruptions {

inline constexpr std::size_t kColours = 3;

/// A parameter's values for severities 1 to 5.
template <class T>
using Severities = std::array<T, kMostSeverity>;

template <class T>
const T& pick(const Severities<T>& values, int severity) {
  return values[static_cast<std::size_t>(severity - 1)];
}

/// A picture whose values are in [0, 1], but for what an operation does to them, or a layer of one
/// channel that is drawn. [row][column][channel].
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

Image to_unit(const Picture& picture);

/// Cuts to [0, 1], then to whole pixels, downwards.
Picture to_picture(const Image& image);

/// The values at the whole pixels to which to_picture() cuts them.
void cut_to_bytes(Image& image);

/// A layer as large as the image, each value from `draw()`, row by row.
template <class Draw>
Image draw_layer(const Image& like, const Draw& draw) {
  Image layer{like.height, like.width, 1, {}};
  layer.values.reserve(like.height * like.width);
  for (std::size_t i = 0; i < like.height * like.width; ++i) layer.values.push_back(draw());
  return layer;
}

template <class Change>
void change_values(Image& image, const Change& change) {
  for (auto& value : image.values) value = change(value);
}

/// Brightness of a colour, as ITU-R BT.601 weighs it; of any other number of values their mean.
double luminance(const double* values, std::size_t channels);

}  // namespace fedselect::corruptions
