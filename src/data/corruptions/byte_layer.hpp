#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "data/corruptions/filters.hpp"

namespace fedselect::corruptions {

/// One channel of whole numbers, for steps that OpenCV does on bytes.
struct ByteLayer {
  std::size_t height;
  std::size_t width;
  std::vector<int> values;

  int& at(std::size_t y, std::size_t x) { return values[y * width + x]; }
  int at(std::size_t y, std::size_t x) const { return values[y * width + x]; }
  bool has(std::ptrdiff_t y, std::ptrdiff_t x) const;
  /// The pixel there; `outside` where there is none.
  int at_or(std::ptrdiff_t y, std::ptrdiff_t x, int outside) const;
};

/// [row][column], weighs what lies around a pixel.
using Kernel = std::array<std::array<int, 3>, 3>;

/// The weighted sum around each pixel.
ByteLayer weigh(const ByteLayer& layer, const Kernel& kernel, Edge edge);

/// 1 on an edge, else 0. Source: Canny, IEEE TPAMI 8 (1986): Sobel's gradients, |dx| + |dy| as
/// their size, ridges kept, then all above `low` that hangs together with something above `high`.
/// Ties and sectors are OpenCV's.
ByteLayer find_edges(const ByteLayer& layer, int low, int high);

/// Distance from each pixel to the nearest that is not 0, at most `most`, in units of
/// 1 / kDistanceUnit pixels. Source: Borgefors, CVGIP 34 (1986), steps of 5 x 5 with OpenCV's
/// lengths 1, 1.4, 2.1969.
ByteLayer distances(const ByteLayer& marks, int most);
inline constexpr int kDistanceUnit = 65536;

/// Bytes spread so that each brightness holds as many pixels, as OpenCV's equalizeHist.
void equalize(ByteLayer& layer);

}  // namespace fedselect::corruptions
