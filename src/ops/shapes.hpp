#pragma once

#include <cstddef>
#include <cstdint>

namespace fedselect::ops {

/// An image of `channels` values a pixel.
struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 0;

  constexpr std::size_t size() const {
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

  constexpr ImageShape out() const {
    return {(in.height + 2 * padding - kernel) / stride + 1,
            (in.width + 2 * padding - kernel) / stride + 1, out_channels};
  }
  constexpr std::size_t weights() const {
    return static_cast<std::size_t>(out_channels) * static_cast<std::size_t>(in.channels) *
           static_cast<std::size_t>(kernel) * static_cast<std::size_t>(kernel);
  }
};

struct LinearShape {
  int in = 0;
  int out = 0;
};

/// Square windows, as torch.nn.MaxPool2d has them: rows and columns that fill no window are
/// dropped, what lies in the padding never wins. padding <= window / 2, window <= 16.
struct PoolShape {
  ImageShape in;
  int window = 2;
  int stride = 0;  ///< 0: the window's, so that windows don't overlap
  int padding = 0;

  constexpr int step() const { return stride == 0 ? window : stride; }
  constexpr ImageShape out() const {
    const auto windows = [this](int side) {
      const int room = side + 2 * padding - window;
      return room < 0 ? 0 : room / step() + 1;
    };
    return {windows(in.height), windows(in.width), in.channels};
  }
};

/// Normalisation of each channel over the samples and pixels of a batch. Defaults:
/// torch.nn.BatchNorm2d.
struct BatchNormShape {
  ImageShape in;
  float epsilon = 1e-5F;
  float momentum = 0.1F;  ///< share of this batch in the running statistics
};

/// Normalisation of each sample over groups of in.channels / groups channels, which has no
/// remainder. Default: torch.nn.GroupNorm.
struct GroupNormShape {
  ImageShape in;
  int groups = 1;
  float epsilon = 1e-5F;
};

/// Samples of a data set as the device sees them: 8-bit pixels, channels-last, and class labels.
struct SampleSource {
  const std::uint8_t* pixels = nullptr;
  const std::int32_t* labels = nullptr;
  ImageShape image;
  const float* mean = nullptr;       ///< host: per channel, of pixel / 255
  const float* deviation = nullptr;  ///< host: per channel
};

/// How a batch shows a sample: row r, column c is the sample's row r + dy, column c + dx, pixel 0
/// outside of it, and then columns are in reverse if `flip`. Source: RandomCrop with padding and
/// RandomHorizontalFlip of torchvision.transforms, on raw pixels.
struct alignas(8) Placement {
  std::int16_t dy = 0;
  std::int16_t dx = 0;
  bool flip = false;

  bool operator==(const Placement&) const = default;
};

}  // namespace fedselect::ops
