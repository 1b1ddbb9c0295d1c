#include <cmath>

#include "ops/cpu/cpu_ops.hpp"
#include "ops/cpu/each_client.hpp"
#include "ops/cpu/layer_kernels.hpp"

namespace fedselect::ops::cpu {

namespace baseline {
extern const LayerKernels kLayerKernels;
}
#ifdef FEDSELECT_X86_KERNELS
namespace avx2 {
extern const LayerKernels kLayerKernels;
}
namespace avx512 {
extern const LayerKernels kLayerKernels;
}
#endif

const LayerKernels& layer_kernels(Isa isa) {
  switch (isa) {
#ifdef FEDSELECT_X86_KERNELS
    case Isa::avx512: return avx512::kLayerKernels;
    case Isa::avx2: return avx2::kLayerKernels;
#endif
    default: return baseline::kLayerKernels;
  }
}

namespace {

Conv conv_of(const ConvShape& shape, int samples) {
  const ImageShape out = shape.out();
  return {.samples = samples,
          .height = shape.in.height,
          .width = shape.in.width,
          .channels = shape.in.channels,
          .out_height = out.height,
          .out_width = out.width,
          .out_channels = shape.out_channels,
          .kernel = shape.kernel,
          .stride = shape.stride,
          .padding = shape.padding};
}

Linear linear_of(const LinearShape& shape, int samples) {
  return {.samples = samples, .in = shape.in, .out = shape.out};
}

Pool pool_of(const PoolShape& shape, int samples) {
  const ImageShape out = shape.out();
  return {.samples = samples,
          .height = shape.in.height,
          .width = shape.in.width,
          .channels = shape.in.channels,
          .out_height = out.height,
          .out_width = out.width,
          .window = shape.window,
          .stride = shape.step(),
          .padding = shape.padding};
}

Placing placing_of(const ImageShape& image, const Placement& placement) {
  return {.height = image.height,
          .width = image.width,
          .channels = image.channels,
          .dy = placement.dy,
          .dx = placement.dx,
          .flip = placement.flip};
}

std::ptrdiff_t pixels_of(const ImageShape& shape) {
  return static_cast<std::ptrdiff_t>(shape.height) * shape.width;
}

struct SampleLoss {
  double loss;
  bool correct;
};

/// Loss of one sample; dlogits (if wanted): its gradient times `scale`. Logits that aren't finite
/// make the loss NaN or infinite.
SampleLoss softmax_cross_entropy(const float* logits, int classes, int label, double scale,
                                 float* dlogits) {
  int largest = 0;
  for (int k = 1; k < classes; ++k) {
    if (logits[k] > logits[largest]) largest = k;
  }
  const double top = logits[largest];
  double sum = 0;
  for (int k = 0; k < classes; ++k) sum += std::exp(logits[k] - top);
  if (dlogits != nullptr) {
    for (int k = 0; k < classes; ++k) {
      const double probability = std::exp(logits[k] - top) / sum;
      dlogits[k] = static_cast<float>(scale * (probability - (k == label ? 1.0 : 0.0)));
    }
  }
  return {std::log(sum) + top - logits[label], largest == label};
}

}  // namespace

void CpuOps::gather_batch(const Group& group, const SampleSource& source,
                          Grouped<const std::int32_t> indices, Grouped<const Placement> placements,
                          Values x, Grouped<std::int32_t> y) {
  const auto channels = static_cast<std::size_t>(source.image.channels);
  const std::size_t size = source.image.size();
  const std::size_t placed_floats = placements ? size / sizeof(float) + 1 : 0;
  float* scale = scratch(2 * channels + placed_floats);
  float* offset = scale + channels;
  auto* placed = reinterpret_cast<std::uint8_t*>(offset + channels);
  constexpr double kLargestPixel = 255;
  for (std::size_t c = 0; c < channels; ++c) {
    const double deviation = source.deviation[c];
    scale[c] = static_cast<float>(1 / (kLargestPixel * deviation));
    offset[c] = static_cast<float>(-source.mean[c] / deviation);
  }
  for_each_client(group, [&](int g, int samples) {
    for (int i = 0; i < samples; ++i) {
      const std::int32_t sample = indices[g][i];
      const std::uint8_t* pixels = source.pixels + static_cast<std::size_t>(sample) * size;
      if (placements && placements[g][i] != Placement{}) {
        layers_.place(placing_of(source.image, placements[g][i]), pixels, placed);
        pixels = placed;
      }
      layers_.normalize(pixels, total(size, 1), source.image.channels, scale, offset,
                        x[g] + total(size, i));
      y[g][i] = source.labels[sample];
    }
  });
}

void CpuOps::conv_forward(const Group& group, const ConvShape& shape, ConstValues x,
                          ConstValues weight, ConstValues bias, Values y) {
  for_each_client(group, [&](int g, int samples) {
    const Conv conv = conv_of(shape, samples);
    float* work = scratch(static_cast<std::size_t>(layers_.conv_scratch(conv)));
    layers_.conv_forward(conv, x[g], weight[g], pointer(bias, g), y[g], work);
  });
}

void CpuOps::conv_backward(const Group& group, const ConvShape& shape, ConstValues x,
                           ConstValues weight, ConstValues dy, Values dx, Values dweight,
                           Values dbias) {
  for_each_client(group, [&](int g, int samples) {
    const Conv conv = conv_of(shape, samples);
    float* work = scratch(static_cast<std::size_t>(layers_.conv_scratch(conv)));
    layers_.conv_backward(conv, x[g], weight[g], dy[g], pointer(dx, g), pointer(dweight, g),
                          pointer(dbias, g), work);
  });
}

void CpuOps::linear_forward(const Group& group, const LinearShape& shape, ConstValues x,
                            ConstValues weight, ConstValues bias, Values y) {
  for_each_client(group, [&](int g, int samples) {
    const Linear linear = linear_of(shape, samples);
    float* work = scratch(static_cast<std::size_t>(layers_.linear_scratch(linear)));
    layers_.linear_forward(linear, x[g], weight[g], pointer(bias, g), y[g], work);
  });
}

void CpuOps::linear_backward(const Group& group, const LinearShape& shape, ConstValues x,
                             ConstValues weight, ConstValues dy, Values dx, Values dweight,
                             Values dbias) {
  for_each_client(group, [&](int g, int samples) {
    layers_.linear_backward(linear_of(shape, samples), x[g], weight[g], dy[g], pointer(dx, g),
                            pointer(dweight, g), pointer(dbias, g));
  });
}

void CpuOps::max_pool_forward(const Group& group, const PoolShape& shape, ConstValues x, Values y,
                              Grouped<std::uint8_t> argmax) {
  for_each_client(group, [&](int g, int samples) {
    layers_.max_pool_forward(pool_of(shape, samples), x[g], y[g], argmax[g]);
  });
}

void CpuOps::max_pool_backward(const Group& group, const PoolShape& shape, ConstValues dy,
                               Grouped<const std::uint8_t> argmax, Values dx) {
  for_each_client(group, [&](int g, int samples) {
    layers_.max_pool_backward(pool_of(shape, samples), dy[g], argmax[g], dx[g]);
  });
}

void CpuOps::mean_pool_forward(const Group& group, const ImageShape& shape, ConstValues x,
                               Values y) {
  for_each_client(group, [&](int g, int samples) {
    layers_.mean_pool_forward(samples, pixels_of(shape), shape.channels, x[g], y[g]);
  });
}

void CpuOps::mean_pool_backward(const Group& group, const ImageShape& shape, ConstValues dy,
                                Values dx) {
  for_each_client(group, [&](int g, int samples) {
    layers_.mean_pool_backward(samples, pixels_of(shape), shape.channels, dy[g], dx[g]);
  });
}

void CpuOps::add(const Group& group, std::size_t size, ConstValues x, Values y) {
  for_each_client(group,
                  [&](int g, int samples) { layers_.add(total(size, samples), x[g], y[g]); });
}

void CpuOps::relu_forward(const Group& group, std::size_t size, Values x) {
  for_each_client(group,
                  [&](int g, int samples) { layers_.relu_forward(total(size, samples), x[g]); });
}

void CpuOps::relu_backward(const Group& group, std::size_t size, ConstValues y, Values dy) {
  for_each_client(
      group, [&](int g, int samples) { layers_.relu_backward(total(size, samples), y[g], dy[g]); });
}

void CpuOps::channels_first(const Group& group, const ImageShape& shape, ConstValues x, Values y) {
  const std::ptrdiff_t pixels = pixels_of(shape);
  for_each_client(group, [&](int g, int samples) {
    for (int i = 0; i < samples; ++i) {
      const std::ptrdiff_t at = total(shape.size(), i);
      layers_.transpose(x[g] + at, pixels, shape.channels, y[g] + at);
    }
  });
}

void CpuOps::channels_last(const Group& group, const ImageShape& shape, ConstValues x, Values y) {
  const std::ptrdiff_t pixels = pixels_of(shape);
  for_each_client(group, [&](int g, int samples) {
    for (int i = 0; i < samples; ++i) {
      const std::ptrdiff_t at = total(shape.size(), i);
      layers_.transpose(x[g] + at, shape.channels, pixels, y[g] + at);
    }
  });
}

void CpuOps::cross_entropy(const Group& group, int classes, ConstValues logits,
                           Grouped<const std::int32_t> labels, Values dlogits,
                           const LossSums& sums) {
  for_each_client(group, [&](int g, int samples) {
    double sum = 0;
    std::int32_t hits = 0;
    for (int i = 0; i < samples; ++i) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(i) * classes;
      const SampleLoss result =
          softmax_cross_entropy(logits[g] + at, classes, labels[g][i], 1.0 / samples,
                                dlogits ? dlogits[g] + at : nullptr);
      sum += result.loss;
      hits += result.correct ? 1 : 0;
    }
    *sums.loss[g] += sum;
    *sums.correct[g] += hits;
  });
}

}  // namespace fedselect::ops::cpu
