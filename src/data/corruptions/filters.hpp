#pragma once

#include <cstddef>
#include <vector>

#include "data/corruptions/image.hpp"

namespace fedselect::corruptions {

inline constexpr double kUsualReach = 4;  ///< of a Gaussian, in sigmas: SciPy's and scikit-image's

/// What lies beyond the edge.
enum class Edge {
  last,    ///< its last pixel goes on: a a | a b c
  mirror,  ///< mirrored at the last pixel: c b | a b c
  repeat   ///< mirrored at the edge, so that the last pixel is there twice: b a | a b c
};

/// Index i, which may lie outside, as one of the n pixels of a line.
std::size_t inside(std::ptrdiff_t i, std::size_t n, Edge edge);

/// The same for a place between pixels: in [0, n - 1]. Only mirror and repeat.
double inside(double x, std::size_t n, Edge edge);

/// Weights 0, 1, ..., radius of a normalised Gaussian.
std::vector<double> gaussian_weights(double sigma, int radius);

/// Gaussian of this sigma in pixels, cut off at `reach` sigmas. A sigma of 0 changes nothing.
void smooth(Image& image, double sigma, Edge edge = Edge::last, double reach = kUsualReach);

/// Linear in x and y; the place is inside.
double interpolate(const Image& image, double y, double x, std::size_t channel);

/// The middle of the image, magnified by a factor of at least 1: SciPy's `zoom` of order 1 over the
/// least whole pixels that fill the image, of which the middle is kept.
Image magnify(const Image& image, double factor);

/// A Gaussian of one side only, towards `degrees`: 0 is right, 90 down. `radius` is half the number
/// of weights. Cut to bytes by way of 16 bits: ImageMagick's MotionBlurImage.
Image streak(const Image& image, double radius, double sigma, double degrees);

}  // namespace fedselect::corruptions
