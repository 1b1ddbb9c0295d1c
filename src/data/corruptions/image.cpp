#include "data/corruptions/image.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace fedselect::corruptions {

Image to_unit(const Picture& picture) {
  Image image{static_cast<std::size_t>(picture.height),
              static_cast<std::size_t>(picture.width),
              static_cast<std::size_t>(picture.channels),
              {}};
  image.values.reserve(picture.pixels.size());
  for (const auto pixel : picture.pixels) image.values.push_back(pixel / kWhite);
  return image;
}

Picture to_picture(const Image& image) {
  Picture picture{static_cast<int>(image.height),
                  static_cast<int>(image.width),
                  static_cast<int>(image.channels),
                  {}};
  picture.pixels.reserve(image.values.size());
  for (const double value : image.values)
    picture.pixels.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 1.0) * kWhite));
  return picture;
}

void cut_to_bytes(Image& image) {
  change_values(image,
                [](double x) { return std::floor(std::clamp(x, 0.0, 1.0) * kWhite) / kWhite; });
}

double luminance(const double* values, std::size_t channels) {
  if (channels == kColours) return 0.299 * values[0] + 0.587 * values[1] + 0.114 * values[2];
  return std::accumulate(values, values + channels, 0.0) / static_cast<double>(channels);
}

}  // namespace fedselect::corruptions
