#include <algorithm>
#include <cmath>

#include "ops/cpu/cpu_ops.hpp"
#include "ops/cpu/each_client.hpp"
#include "ops/cpu/layer_kernels.hpp"

/// Batch and group norm: the kernels pass over the values, here a channel's few numbers are worked
/// out, in double precision.
namespace fedselect::ops::cpu {

namespace {

/// Scratch of a norm layer: two doubles and four floats a channel, and room for sums over samples.
struct NormScratch {
  double *first, *second;          ///< per channel: moments, or sums
  double *weight_sum, *bias_sum;   ///< per channel, over the samples
  float *mean, *a, *b, *constant;  ///< per channel: what the kernels multiply with

  static std::size_t floats(std::size_t channels) { return 12 * round_up(channels, 16); }
  NormScratch(float* memory, std::size_t channels) {
    const std::size_t row = round_up(channels, 16);
    auto* doubles = reinterpret_cast<double*>(memory);
    first = doubles, second = doubles + row;
    weight_sum = doubles + 2 * row, bias_sum = doubles + 3 * row;
    mean = memory + 8 * row, a = mean + row, b = a + row, constant = b + row;
  }
};

/// Where the channels of a group-norm group begin and how many values they have.
struct GroupLayout {
  std::size_t channels, groups, width;  ///< width: channels a group
  std::ptrdiff_t pixels;
  double values;  ///< a group of one sample

  explicit GroupLayout(const GroupNormShape& shape)
      : channels(static_cast<std::size_t>(shape.in.channels)),
        groups(static_cast<std::size_t>(shape.groups)),
        width(channels / groups),
        pixels(static_cast<std::ptrdiff_t>(shape.in.height) * shape.in.width),
        values(static_cast<double>(pixels) * static_cast<double>(width)) {}
};

std::ptrdiff_t rows_of(const ImageShape& shape, int samples) {
  return static_cast<std::ptrdiff_t>(shape.height) * shape.width * samples;
}

void move_towards(float& running, double value, double momentum) {
  running = static_cast<float>((1 - momentum) * running + momentum * value);
}

}  // namespace

void CpuOps::batch_norm_train(const Group& group, const BatchNormShape& shape, ConstValues x,
                              ConstValues weight, ConstValues bias, Values running_mean,
                              Values running_variance, Values y, Values kept) {
  const auto channels = static_cast<std::size_t>(shape.in.channels);
  const NormScratch work(scratch(NormScratch::floats(channels)), channels);
  for_each_client(group, [&](int g, int samples) {
    const std::ptrdiff_t rows = rows_of(shape.in, samples);
    layers_.channel_moments(rows, shape.in.channels, x[g], work.first, work.second);
    float* mean = kept[g];
    float* inverse = kept[g] + channels;
    const auto count = static_cast<double>(rows);
    for (std::size_t c = 0; c < channels; ++c) {
      mean[c] = static_cast<float>(work.first[c]);
      inverse[c] = static_cast<float>(1 / std::sqrt(work.second[c] / count + shape.epsilon));
      work.a[c] = inverse[c] * weight[g][c];
      move_towards(running_mean[g][c], work.first[c], shape.momentum);
      move_towards(running_variance[g][c], work.second[c] / std::max(count - 1, 1.0),
                   shape.momentum);
    }
    layers_.channel_affine(rows, shape.in.channels, x[g], mean, work.a, bias[g], y[g]);
  });
}

void CpuOps::batch_norm_evaluate(const Group& group, const BatchNormShape& shape, ConstValues x,
                                 ConstValues weight, ConstValues bias, ConstValues running_mean,
                                 ConstValues running_variance, Values y) {
  const auto channels = static_cast<std::size_t>(shape.in.channels);
  const NormScratch work(scratch(NormScratch::floats(channels)), channels);
  for_each_client(group, [&](int g, int samples) {
    for (std::size_t c = 0; c < channels; ++c) {
      const double deviation = std::sqrt(double{running_variance[g][c]} + shape.epsilon);
      work.a[c] = static_cast<float>(weight[g][c] / deviation);
    }
    layers_.channel_affine(rows_of(shape.in, samples), shape.in.channels, x[g], running_mean[g],
                           work.a, bias[g], y[g]);
  });
}

void CpuOps::batch_norm_backward(const Group& group, const BatchNormShape& shape, ConstValues x,
                                 ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                                 Values dweight, Values dbias) {
  const auto channels = static_cast<std::size_t>(shape.in.channels);
  const NormScratch work(scratch(NormScratch::floats(channels)), channels);
  for_each_client(group, [&](int g, int samples) {
    const std::ptrdiff_t rows = rows_of(shape.in, samples);
    const float* mean = kept[g];
    const float* inverse = kept[g] + channels;
    layers_.channel_products(rows, shape.in.channels, x[g], mean, dy[g], work.first, work.second);
    const auto count = static_cast<double>(rows);
    for (std::size_t c = 0; c < channels; ++c) {
      const double deviation = inverse[c];
      const double scale = weight[g][c] * deviation;
      if (dweight) dweight[g][c] = static_cast<float>(work.second[c] * deviation);
      if (dbias) dbias[g][c] = static_cast<float>(work.first[c]);
      work.a[c] = static_cast<float>(scale);
      work.b[c] = static_cast<float>(-scale * deviation * deviation * work.second[c] / count);
      work.constant[c] = static_cast<float>(-scale * work.first[c] / count);
    }
    if (dx)
      layers_.channel_gradient(rows, shape.in.channels, x[g], dy[g],
                               {mean, work.a, work.b, work.constant}, dx[g]);
  });
}

void CpuOps::group_norm_forward(const Group& group, const GroupNormShape& shape, ConstValues x,
                                ConstValues weight, ConstValues bias, Values y, Values kept) {
  const GroupLayout layout(shape);
  const NormScratch work(scratch(NormScratch::floats(layout.channels)), layout.channels);
  for_each_client(group, [&](int g, int samples) {
    for (int n = 0; n < samples; ++n) {
      const std::ptrdiff_t at = total(shape.in.size(), n);
      float* mean = kept[g] + total(2 * layout.groups, n);
      float* inverse = mean + layout.groups;
      layers_.channel_moments(layout.pixels, shape.in.channels, x[g] + at, work.first, work.second);
      for (std::size_t i = 0; i < layout.groups; ++i) {
        const std::size_t begin = i * layout.width;
        const std::size_t end = begin + layout.width;
        double middle = 0;
        for (std::size_t c = begin; c < end; ++c) middle += work.first[c];
        middle /= static_cast<double>(layout.width);
        double squares = 0;
        for (std::size_t c = begin; c < end; ++c) {
          const double apart = work.first[c] - middle;
          squares += work.second[c] + apart * apart * static_cast<double>(layout.pixels);
        }
        mean[i] = static_cast<float>(middle);
        inverse[i] = static_cast<float>(1 / std::sqrt(squares / layout.values + shape.epsilon));
        for (std::size_t c = begin; c < end; ++c) {
          work.mean[c] = mean[i];
          work.a[c] = inverse[i] * weight[g][c];
        }
      }
      layers_.channel_affine(layout.pixels, shape.in.channels, x[g] + at, work.mean, work.a,
                             bias[g], y[g] + at);
    }
  });
}

void CpuOps::group_norm_backward(const Group& group, const GroupNormShape& shape, ConstValues x,
                                 ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                                 Values dweight, Values dbias) {
  const GroupLayout layout(shape);
  const NormScratch work(scratch(NormScratch::floats(layout.channels)), layout.channels);
  for_each_client(group, [&](int g, int samples) {
    std::fill_n(work.weight_sum, layout.channels, 0.0);
    std::fill_n(work.bias_sum, layout.channels, 0.0);
    for (int n = 0; n < samples; ++n) {
      const std::ptrdiff_t at = total(shape.in.size(), n);
      const float* mean = kept[g] + total(2 * layout.groups, n);
      const float* inverse = mean + layout.groups;
      for (std::size_t c = 0; c < layout.channels; ++c) work.mean[c] = mean[c / layout.width];
      layers_.channel_products(layout.pixels, shape.in.channels, x[g] + at, work.mean, dy[g] + at,
                               work.first, work.second);
      for (std::size_t i = 0; i < layout.groups; ++i) {
        const std::size_t begin = i * layout.width;
        const std::size_t end = begin + layout.width;
        const double deviation = inverse[i];
        double sum = 0;
        double product = 0;
        for (std::size_t c = begin; c < end; ++c) {
          work.bias_sum[c] += work.first[c];
          work.weight_sum[c] += work.second[c] * deviation;
          sum += weight[g][c] * work.first[c];
          product += weight[g][c] * work.second[c];
        }
        const double of_x = -deviation * deviation * deviation * product / layout.values;
        for (std::size_t c = begin; c < end; ++c) {
          work.a[c] = static_cast<float>(deviation * weight[g][c]);
          work.b[c] = static_cast<float>(of_x);
          work.constant[c] = static_cast<float>(-deviation * sum / layout.values);
        }
      }
      if (dx)
        layers_.channel_gradient(layout.pixels, shape.in.channels, x[g] + at, dy[g] + at,
                                 {work.mean, work.a, work.b, work.constant}, dx[g] + at);
    }
    for (std::size_t c = 0; c < layout.channels; ++c) {
      if (dweight) dweight[g][c] = static_cast<float>(work.weight_sum[c]);
      if (dbias) dbias[g][c] = static_cast<float>(work.bias_sum[c]);
    }
  });
}

}  // namespace fedselect::ops::cpu
