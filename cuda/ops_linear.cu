// Fully connected layers as products of tile_product.hpp, one launch for all clients whatever their
// numbers of samples.

#include <algorithm>

#include "cuda_ops.hpp"
#include "tile_product.hpp"

namespace fedselect::cuda {
namespace {

/// partial[part][sample][o] = sum over the part's inputs of x w.
struct LinearForward {
  static constexpr int kPartDepth = 256;
  static constexpr bool kAlongRows = true, kRowsAreGiven = true;
  Matrix<true> a;  ///< weights
  Matrix<true> b;  ///< x
  LinearShape shape;
  Values partial;
  int most;  ///< samples of a part

  __host__ __device__ Extent extent(int samples) const { return {shape.out, samples, shape.in}; }
  __device__ void store(int g, int part, int o, int sample, float4 v, int count) const {
    put(partial[g] + (static_cast<std::ptrdiff_t>(part) * most + sample) * shape.out + o, v, count);
  }
};

/// dx[sample][i] = sum over o of dy w.
struct LinearByInput {
  static constexpr int kPartDepth = kUnparted;
  static constexpr bool kAlongRows = true, kRowsAreGiven = true;
  Matrix<false> a;  ///< weights
  Matrix<true> b;   ///< dy
  LinearShape shape;
  Values dx;

  __host__ __device__ Extent extent(int samples) const { return {shape.in, samples, shape.out}; }
  __device__ void store(int g, int, int i, int sample, float4 v, int count) const {
    put(dx[g] + static_cast<std::ptrdiff_t>(sample) * shape.in + i, v, count);
  }
};

/// dweight[o][i] = sum over the samples of dy x.
struct LinearByWeight {
  static constexpr int kPartDepth = kUnparted;
  static constexpr bool kAlongRows = false, kRowsAreGiven = true;
  Matrix<false> a;  ///< dy
  Matrix<false> b;  ///< x
  LinearShape shape;
  Values dweight;

  __host__ __device__ Extent extent(int samples) const { return {shape.out, shape.in, samples}; }
  __device__ void store(int g, int, int o, int i, float4 v, int count) const {
    put(dweight[g] + static_cast<std::ptrdiff_t>(o) * shape.in + i, v, count);
  }
};

/// y[sample][o] = sum over the parts, in their order, + bias. Limited by memory.
__global__ void add_linear_parts_kernel(DeviceGroup group, LinearForward problem, ConstValues bias,
                                        Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const int out = problem.shape.out, n = group.samples[g] * out;
  const int parts = parts_of<LinearForward>(problem.shape.in);
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(problem.most) * out;
  for (int i = static_cast<int>(first_element()); i < n; i += static_cast<int>(element_step())) {
    float sum = 0;
    for (int p = 0; p < parts; ++p) sum += problem.partial[g][p * size + i];
    y[g][i] = bias ? sum + bias[g][i % out] : sum;
  }
}

/// sum[column] = sum over the rows, in their order. Limited by memory.
__global__ void column_sums_kernel(DeviceGroup group, int columns, ConstValues dy, Values sum) {
  const int g = static_cast<int>(blockIdx.y);
  const int rows = group.samples[g];
  if (rows == 0) return;
  for (int c = static_cast<int>(first_element()); c < columns;
       c += static_cast<int>(element_step())) {
    float total = 0;
    for (int r = 0; r < rows; ++r) total += dy[g][static_cast<std::ptrdiff_t>(r) * columns + c];
    sum[g][c] = total;
  }
}

}  // namespace

void CudaOps::linear_forward(const Group& group, const LinearShape& shape, ConstValues x,
                             ConstValues weight, ConstValues bias, Values y) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  count_of(here, static_cast<std::size_t>(std::max(shape.in, shape.out)));
  Arena::Frame frame(arena_);
  const std::size_t values =
      static_cast<std::size_t>(here.most) * static_cast<std::size_t>(shape.out);
  const std::size_t size = values * static_cast<std::size_t>(parts_of<LinearForward>(shape.in));
  const Values partial{frame.take<float>(size * static_cast<std::size_t>(here.clients)),
                       static_cast<std::ptrdiff_t>(size)};
  const LinearForward problem{Matrix<true>(weight, shape.in), Matrix<true>(x, shape.in), shape,
                              partial, here.most};
  FEDSELECT_CUDA(launch_product(here, problem, stream_.get()));
  FEDSELECT_CUDA(launch(add_linear_parts_kernel, grid_of(values, here.clients), kThreads, 0,
                        stream_.get(), here, problem, bias, y));
}

void CudaOps::linear_backward(const Group& group, const LinearShape& shape, ConstValues x,
                              ConstValues weight, ConstValues dy, Values dx, Values dweight,
                              Values dbias) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  count_of(here, static_cast<std::size_t>(std::max(shape.in, shape.out)));
  if (dx)
    FEDSELECT_CUDA(launch_product(
        here,
        LinearByInput{Matrix<false>(weight, shape.in), Matrix<true>(dy, shape.out), shape, dx},
        stream_.get()));
  if (dweight)
    FEDSELECT_CUDA(launch_product(
        here,
        LinearByWeight{Matrix<false>(dy, shape.out), Matrix<false>(x, shape.in), shape, dweight},
        stream_.get()));
  if (dbias)
    FEDSELECT_CUDA(launch(column_sums_kernel,
                          grid_of(static_cast<std::size_t>(shape.out), here.clients), kThreads, 0,
                          stream_.get(), here, shape.out, dy, dbias));
}

}  // namespace fedselect::cuda
