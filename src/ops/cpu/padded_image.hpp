#pragma once

#include "ops/cpu/gemm_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// One channels-last sample with zeros around it, in a buffer; the sample itself where it needs
/// none.
struct PaddedImage {
  Index in_height, in_width, channels;
  Index border;         ///< rows above and columns to the left
  Index height, width;  ///< of the padded image

  Index row() const { return width * channels; }
  bool is_copied() const { return border != 0 || height != in_height || width != in_width; }
  /// Floats of the buffer; `clear` it once before the first sample.
  Index size() const { return is_copied() ? height * row() : 0; }
  void clear(float* buffer) const { fill(buffer, size(), 0.0F); }

  /// Sample number n of x, padded. Valid until the next call.
  const float* of(const float* x, Index n, float* buffer) const {
    const Index in_row = in_width * channels;
    const float* image = x + n * in_height * in_row;
    if (!is_copied()) return image;
    const Index rows = min(in_height, height - border);
    const Index columns = min(in_row, row() - border * channels);
    for (Index h = 0; h < rows; ++h) {
      copy(image + h * in_row, columns, buffer + (h + border) * row() + border * channels);
    }
    return buffer;
  }
};

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
