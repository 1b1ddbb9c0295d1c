#pragma once

#include <cstddef>
#include <cstdint>

namespace fedselect::ops {

/// An image of `channels` values a pixel.
struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 0;

  std::size_t size() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
           static_cast<std::size_t>(channels);
  }
  bool operator==(const ImageShape&) const = default;
};

/// A square convolution with equal stride and zero padding on both axes.
struct ConvShape {
  ImageShape in;
  int out_channels = 0;
  int kernel = 0;
  int stride = 1;
  int padding = 0;

  ImageShape out() const {
    return {(in.height + 2 * padding - kernel) / stride + 1,
            (in.width + 2 * padding - kernel) / stride + 1, out_channels};
  }
  std::size_t weights() const {
    return static_cast<std::size_t>(out_channels) * static_cast<std::size_t>(in.channels) *
           static_cast<std::size_t>(kernel) * static_cast<std::size_t>(kernel);
  }
};

struct LinearShape {
  int in = 0;
  int out = 0;
};

/// Non-overlapping windows; rows and columns that fill no window are dropped, as PyTorch does.
struct PoolShape {
  ImageShape in;
  int window = 2;

  ImageShape out() const { return {in.height / window, in.width / window, in.channels}; }
};

/// Samples of a data set as the device sees them: 8-bit pixels, channels-last, and class labels.
struct SampleSource {
  const std::uint8_t* pixels = nullptr;
  const std::int32_t* labels = nullptr;
  ImageShape image;
  const float* mean = nullptr;       ///< per channel, of pixel / 255
  const float* deviation = nullptr;  ///< per channel
};

}  // namespace fedselect::ops
