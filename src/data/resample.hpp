#pragma once

#include <cstdint>
#include <vector>

namespace fedselect {

inline constexpr double kWhite = 255;  ///< the brightest pixel

/// An image of its own: 8 bits a value, [row][column][channel].
struct Picture {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// How far a pixel of the source reaches when it is spread over a smaller or larger grid.
enum class Filter {
  box,      ///< mean over the area that a new pixel covers
  triangle  ///< linear, as wide as two new pixels where the image shrinks (no aliasing)
};

/// The picture on a grid of height x width pixels; its aspect ratio is not kept.
///
/// Bit for bit what Pillow's Image.resize gives with BOX and BILINEAR: first rows, then columns,
/// weights in fixed point of 22 bits, rounded to 8 bits after each. Source: Pillow, Resample.c.
Picture resample(const Picture& picture, int height, int width, Filter filter);

}  // namespace fedselect
