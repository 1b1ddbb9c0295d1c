// Batch and group norm. Limited by memory: batch norm's statistics read a batch once, group norm's
// twice; applying them reads and writes it once.
//
// Batch norm is a norm over all rows of a client, one channel each; group norm is one over the
// pixels of a sample and the channels of a group. Statistics are formed in double, in an order that
// depends on the client's own numbers alone.

#include <algorithm>

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

constexpr int kLanes = kThreads / kWarp;  // rows of threads; each warp has 32 channels
constexpr int kPartRows = 512;            // that a block adds up at a time
constexpr int kMostParts = 1024;          // side by side, of 32 channels of a client

/// The sum over the 8 threads that have the same channel, in each of them.
__device__ __forceinline__ double channel_sum(double value, double* space) {
  space[threadIdx.x] = value;
  __syncthreads();
  double sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += space[lane * kWarp + threadIdx.x % kWarp];
  __syncthreads();
  return sum;
}

struct Pair {
  double a, b;
};

/// Two sums a channel over the rows (pixels of all samples) of a client, in parts.
struct ChannelSums {
  double* parts;  ///< [client][part][a or b][channel]
  int most;       ///< parts of the client that has most
  int pixels, channels;

  __device__ __forceinline__ double* part(int g, int p) const {
    return parts + (static_cast<std::ptrdiff_t>(g) * most + p) * 2 * channels;
  }
  /// Of all parts, in their order.
  __device__ __forceinline__ Pair total(int g, int rows, int c) const {
    Pair sum{0, 0};
    for (int p = 0; p * kPartRows < rows; ++p) {
      sum.a += part(g, p)[c];
      sum.b += part(g, p)[channels + c];
    }
    return sum;
  }
};

/// `Terms`: of(g, row, channel, index), what is added up. Blocks stride over the parts.
template <class Terms>
__global__ void channel_sums_kernel(DeviceGroup group, Terms terms, ChannelSums sums) {
  auto* space = dynamic_shared<double>();
  const int g = static_cast<int>(blockIdx.y);
  const int rows = group.samples[g] * sums.pixels;
  const int c = static_cast<int>(blockIdx.x) * kWarp + static_cast<int>(threadIdx.x) % kWarp;
  const int lane = static_cast<int>(threadIdx.x) / kWarp;
  const bool works = c < sums.channels;
  for (int part = static_cast<int>(blockIdx.z); part * kPartRows < rows;
       part += static_cast<int>(gridDim.z)) {
    const int end = min((part + 1) * kPartRows, rows);
    Pair sum{0, 0};
    if (works)
      for (int row = part * kPartRows + lane; row < end; row += kLanes) {
        const Pair term = terms.of(g, row, c, static_cast<std::ptrdiff_t>(row) * sums.channels + c);
        sum.a += term.a;
        sum.b += term.b;
      }
    sum = {channel_sum(sum.a, space), channel_sum(sum.b, space)};
    if (!works || lane != 0) continue;
    sums.part(g, part)[c] = sum.a;
    sums.part(g, part)[sums.channels + c] = sum.b;
  }
}

struct BatchNorm {
  int pixels, channels;
  Divider by_channels;
  float epsilon, momentum;
};

/// Sum and square, of values less the client's first: a shift that keeps squares small.
struct Moments {
  ConstValues x;

  __device__ __forceinline__ Pair of(int g, int, int c, std::ptrdiff_t i) const {
    const double apart = static_cast<double>(x[g][i]) - x[g][c];
    return {apart, apart * apart};
  }
};

/// kept: mean and 1 / deviation of each channel; moves the running statistics.
__global__ void batch_moments_kernel(DeviceGroup group, BatchNorm norm, ChannelSums sums,
                                     ConstValues x, Values running_mean, Values running_variance,
                                     Values kept) {
  const int g = static_cast<int>(blockIdx.y);
  const int c = static_cast<int>(first_element());
  if (group.samples[g] == 0 || c >= norm.channels) return;
  const int rows = group.samples[g] * norm.pixels;
  const Pair sum = sums.total(g, rows, c);
  const double apart = sum.a / rows, mean = apart + x[g][c];
  const double squares = fmax(sum.b - apart * sum.a, 0.0);
  kept[g][c] = static_cast<float>(mean);
  kept[g][norm.channels + c] = static_cast<float>(1 / sqrt(squares / rows + norm.epsilon));
  const double share = norm.momentum;
  const double variance = squares / (rows > 1 ? rows - 1 : 1);
  running_mean[g][c] = static_cast<float>((1 - share) * running_mean[g][c] + share * mean);
  running_variance[g][c] =
      static_cast<float>((1 - share) * running_variance[g][c] + share * variance);
}

__global__ void batch_apply_kernel(DeviceGroup group, BatchNorm norm, ConstValues x,
                                   ConstValues weight, ConstValues bias, ConstValues kept,
                                   Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const int n = group.samples[g] * norm.pixels * norm.channels;
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const int c = norm.by_channels.remainder(i);
    const float scale = kept[g][norm.channels + c] * weight[g][c];
    y[g][i] = fmaf(x[g][i] - kept[g][c], scale, bias[g][c]);
  }
}

__global__ void batch_evaluate_kernel(DeviceGroup group, BatchNorm norm, ConstValues x,
                                      ConstValues weight, ConstValues bias, ConstValues mean,
                                      ConstValues variance, Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const int n = group.samples[g] * norm.pixels * norm.channels;
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const int c = norm.by_channels.remainder(i);
    const double deviation = sqrt(static_cast<double>(variance[g][c]) + norm.epsilon);
    y[g][i] = fmaf(x[g][i] - mean[g][c], static_cast<float>(weight[g][c] / deviation), bias[g][c]);
  }
}

struct NormGradients {
  Values dweight, dbias;
  Values factors;  ///< per channel (or group): of dy, of x - mean, constant
};

/// Sums of dy and of dy (x - mean).
struct BatchProducts {
  ConstValues x, kept, dy;

  __device__ __forceinline__ Pair of(int g, int, int c, std::ptrdiff_t i) const {
    return {dy[g][i], static_cast<double>(dy[g][i]) * (x[g][i] - kept[g][c])};
  }
};

__global__ void batch_products_kernel(DeviceGroup group, BatchNorm norm, ChannelSums sums,
                                      ConstValues weight, ConstValues kept, NormGradients out) {
  const int g = static_cast<int>(blockIdx.y);
  const int c = static_cast<int>(first_element());
  if (group.samples[g] == 0 || c >= norm.channels) return;
  const int rows = group.samples[g] * norm.pixels;
  const auto [sum, product] = sums.total(g, rows, c);
  const double deviation = kept[g][norm.channels + c];
  const double scale = weight[g][c] * deviation;
  if (out.dweight) out.dweight[g][c] = static_cast<float>(product * deviation);
  if (out.dbias) out.dbias[g][c] = static_cast<float>(sum);
  float* factors = out.factors[g] + 3 * c;
  factors[0] = static_cast<float>(scale);
  factors[1] = static_cast<float>(-scale * deviation * deviation * product / rows);
  factors[2] = static_cast<float>(-scale * sum / rows);
}

__global__ void batch_gradient_kernel(DeviceGroup group, BatchNorm norm, ConstValues x,
                                      ConstValues kept, ConstValues dy, ConstValues factors,
                                      Values dx) {
  const int g = static_cast<int>(blockIdx.y);
  const int n = group.samples[g] * norm.pixels * norm.channels;
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    const int c = norm.by_channels.remainder(i);
    const float* f = factors[g] + 3 * c;
    dx[g][i] = fmaf(f[0], dy[g][i], fmaf(f[1], x[g][i] - kept[g][c], f[2]));
  }
}

/// Group norm's numbers: a block a sample and group of channels.
struct GroupNorm {
  int pixels, channels, groups;
  float epsilon;

  __device__ int width() const { return channels / groups; }
  __device__ int values() const { return pixels * width(); }
  /// Value number `v` of a sample's group.
  __device__ std::ptrdiff_t index(int sample, int part, int v) const {
    return (static_cast<std::ptrdiff_t>(sample) * pixels + v / width()) * channels +
           part * width() + v % width();
  }
};

__global__ void group_forward_kernel(DeviceGroup group, GroupNorm norm, ConstValues x,
                                     ConstValues weight, ConstValues bias, Values y, Values kept) {
  __shared__ double space[kLanes];
  const int g = static_cast<int>(blockIdx.y);
  const int sample = static_cast<int>(blockIdx.x) / norm.groups;
  const int part = static_cast<int>(blockIdx.x) % norm.groups;
  if (sample >= group.samples[g]) return;
  const int values = norm.values();
  double sum = 0;
  for (int v = static_cast<int>(threadIdx.x); v < values; v += kThreads)
    sum += x[g][norm.index(sample, part, v)];
  const double mean = block_sum(sum, space) / values;
  double squares = 0;
  for (int v = static_cast<int>(threadIdx.x); v < values; v += kThreads) {
    const double apart = x[g][norm.index(sample, part, v)] - mean;
    squares += apart * apart;
  }
  squares = block_sum(squares, space);
  const auto middle = static_cast<float>(mean);
  const auto inverse = static_cast<float>(1 / sqrt(squares / values + norm.epsilon));
  float* keeps = kept[g] + static_cast<std::ptrdiff_t>(2 * norm.groups) * sample;
  if (threadIdx.x == 0) {
    keeps[part] = middle;
    keeps[norm.groups + part] = inverse;
  }
  for (int v = static_cast<int>(threadIdx.x); v < values; v += kThreads) {
    const int c = part * norm.width() + v % norm.width();
    const std::ptrdiff_t i = norm.index(sample, part, v);
    y[g][i] = fmaf(x[g][i] - middle, inverse * weight[g][c], bias[g][c]);
  }
}

__global__ void group_gradient_kernel(DeviceGroup group, GroupNorm norm, ConstValues x,
                                      ConstValues weight, ConstValues kept, ConstValues dy,
                                      Values dx) {
  __shared__ double space[kLanes];
  const int g = static_cast<int>(blockIdx.y);
  const int sample = static_cast<int>(blockIdx.x) / norm.groups;
  const int part = static_cast<int>(blockIdx.x) % norm.groups;
  if (sample >= group.samples[g]) return;
  const int values = norm.values();
  const float* keeps = kept[g] + static_cast<std::ptrdiff_t>(2 * norm.groups) * sample;
  const float middle = keeps[part];
  const double deviation = keeps[norm.groups + part];
  double sum = 0, product = 0;
  for (int v = static_cast<int>(threadIdx.x); v < values; v += kThreads) {
    const std::ptrdiff_t i = norm.index(sample, part, v);
    const double weighted =
        static_cast<double>(weight[g][part * norm.width() + v % norm.width()]) * dy[g][i];
    sum += weighted;
    product += weighted * (x[g][i] - middle);
  }
  sum = block_sum(sum, space);
  product = block_sum(product, space);
  const auto of_x = static_cast<float>(-deviation * deviation * deviation * product / values);
  const auto constant = static_cast<float>(-deviation * sum / values);
  for (int v = static_cast<int>(threadIdx.x); v < values; v += kThreads) {
    const std::ptrdiff_t i = norm.index(sample, part, v);
    const auto of_dy =
        static_cast<float>(deviation * weight[g][part * norm.width() + v % norm.width()]);
    dx[g][i] = fmaf(of_dy, dy[g][i], fmaf(of_x, x[g][i] - middle, constant));
  }
}

/// Sums of dy and of dy times the normalised value.
struct GroupProducts {
  GroupNorm norm;
  ConstValues x, kept, dy;

  __device__ __forceinline__ Pair of(int g, int row, int c, std::ptrdiff_t i) const {
    const float* keeps = kept[g] +
                         static_cast<std::ptrdiff_t>(2 * norm.groups) * (row / norm.pixels) +
                         c / norm.width();
    return {dy[g][i], static_cast<double>(dy[g][i]) * (x[g][i] - keeps[0]) * keeps[norm.groups]};
  }
};

__global__ void group_products_kernel(DeviceGroup group, ChannelSums sums, NormGradients out) {
  const int g = static_cast<int>(blockIdx.y);
  const int c = static_cast<int>(first_element());
  if (group.samples[g] == 0 || c >= sums.channels) return;
  const auto [sum, product] = sums.total(g, group.samples[g] * sums.pixels, c);
  if (out.dweight) out.dweight[g][c] = static_cast<float>(product);
  if (out.dbias) out.dbias[g][c] = static_cast<float>(sum);
}

BatchNorm numbers_of(const BatchNormShape& shape) {
  return {shape.in.height * shape.in.width, shape.in.channels, Divider(shape.in.channels),
          shape.epsilon, shape.momentum};
}

GroupNorm numbers_of(const GroupNormShape& shape) {
  return {shape.in.height * shape.in.width, shape.in.channels, shape.groups, shape.epsilon};
}

/// Adds up `terms`, in scratch memory.
template <class Terms>
ChannelSums add_up(Arena::Frame& frame, const DeviceGroup& here, const ImageShape& image,
                   const Terms& terms, cudaStream_t stream) {
  const int pixels = image.height * image.width;
  const int parts = (here.most * pixels + kPartRows - 1) / kPartRows;
  const std::size_t values = static_cast<std::size_t>(here.clients) *
                             static_cast<std::size_t>(parts) * 2 *
                             static_cast<std::size_t>(image.channels);
  const ChannelSums sums{frame.take<double>(values), parts, pixels, image.channels};
  const dim3 grid(static_cast<unsigned>((image.channels + kWarp - 1) / kWarp),
                  static_cast<unsigned>(here.clients),
                  static_cast<unsigned>(std::min(parts, kMostParts)));
  FEDSELECT_CUDA(launch(channel_sums_kernel<Terms>, grid, kThreads, kThreads * sizeof(double),
                        stream, here, terms, sums));
  return sums;
}

dim3 channel_grid(int channels, const DeviceGroup& here) {
  return grid_of(static_cast<std::size_t>(channels), here.clients);
}

std::size_t values_of(const ImageShape& image, const DeviceGroup& here) {
  return static_cast<std::size_t>(count_of(here, image.size()));
}

}  // namespace

void CudaOps::batch_norm_train(const Group& group, const BatchNormShape& shape, ConstValues x,
                               ConstValues weight, ConstValues bias, Values running_mean,
                               Values running_variance, Values y, Values kept) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  const std::size_t values = values_of(shape.in, here);
  Arena::Frame frame(arena_);
  const ChannelSums sums = add_up(frame, here, shape.in, Moments{x}, stream_.get());
  FEDSELECT_CUDA(launch(batch_moments_kernel, channel_grid(shape.in.channels, here), kThreads, 0,
                        stream_.get(), here, numbers_of(shape), sums, x, running_mean,
                        running_variance, kept));
  FEDSELECT_CUDA(launch(batch_apply_kernel, grid_of(values, here.clients), kThreads, 0,
                        stream_.get(), here, numbers_of(shape), x, weight, bias, kept, y));
}

void CudaOps::batch_norm_evaluate(const Group& group, const BatchNormShape& shape, ConstValues x,
                                  ConstValues weight, ConstValues bias, ConstValues running_mean,
                                  ConstValues running_variance, Values y) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  const std::size_t values = values_of(shape.in, here);
  FEDSELECT_CUDA(launch(batch_evaluate_kernel, grid_of(values, here.clients), kThreads, 0,
                        stream_.get(), here, numbers_of(shape), x, weight, bias, running_mean,
                        running_variance, y));
}

void CudaOps::batch_norm_backward(const Group& group, const BatchNormShape& shape, ConstValues x,
                                  ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                                  Values dweight, Values dbias) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  const std::size_t values = values_of(shape.in, here);
  Arena::Frame frame(arena_);
  const std::size_t size = 3 * static_cast<std::size_t>(shape.in.channels);
  const Values factors{frame.take<float>(size * static_cast<std::size_t>(here.clients)),
                       static_cast<std::ptrdiff_t>(size)};
  const ChannelSums sums = add_up(frame, here, shape.in, BatchProducts{x, kept, dy}, stream_.get());
  FEDSELECT_CUDA(launch(batch_products_kernel, channel_grid(shape.in.channels, here), kThreads, 0,
                        stream_.get(), here, numbers_of(shape), sums, weight, kept,
                        NormGradients{dweight, dbias, factors}));
  if (dx)
    FEDSELECT_CUDA(launch(batch_gradient_kernel, grid_of(values, here.clients), kThreads, 0,
                          stream_.get(), here, numbers_of(shape), x, kept, dy, factors, dx));
}

void CudaOps::group_norm_forward(const Group& group, const GroupNormShape& shape, ConstValues x,
                                 ConstValues weight, ConstValues bias, Values y, Values kept) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  values_of(shape.in, here);  // are not too many
  const dim3 grid(static_cast<unsigned>(here.most * shape.groups),
                  static_cast<unsigned>(here.clients));
  FEDSELECT_CUDA(launch(group_forward_kernel, grid, kThreads, 0, stream_.get(), here,
                        numbers_of(shape), x, weight, bias, y, kept));
}

void CudaOps::group_norm_backward(const Group& group, const GroupNormShape& shape, ConstValues x,
                                  ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                                  Values dweight, Values dbias) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  values_of(shape.in, here);  // are not too many
  if (dweight || dbias) {
    Arena::Frame frame(arena_);
    const ChannelSums sums =
        add_up(frame, here, shape.in, GroupProducts{numbers_of(shape), x, kept, dy}, stream_.get());
    FEDSELECT_CUDA(launch(group_products_kernel, channel_grid(shape.in.channels, here), kThreads, 0,
                          stream_.get(), here, sums, NormGradients{dweight, dbias, {}}));
  }
  const dim3 grid(static_cast<unsigned>(here.most * shape.groups),
                  static_cast<unsigned>(here.clients));
  if (dx)
    FEDSELECT_CUDA(launch(group_gradient_kernel, grid, kThreads, 0, stream_.get(), here,
                          numbers_of(shape), x, weight, kept, dy, dx));
}

}  // namespace fedselect::cuda
