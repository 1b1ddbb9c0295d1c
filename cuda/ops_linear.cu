// Fully connected layers: products by cuBLAS, one call for all clients.

#include <algorithm>
#include <map>
#include <vector>

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

/// y[row][column] += bias[column]. Limited by memory.
__global__ void add_bias_kernel(DeviceGroup group, int columns, ConstValues bias, Values y) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t n =
      static_cast<std::size_t>(group.samples[g]) * static_cast<std::size_t>(columns);
  for (std::size_t i = first_element(); i < n; i += element_step())
    y[g][i] += bias[g][i % static_cast<std::size_t>(columns)];
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

/// C = op(A) op(B) for each client, column-major; the size that is 0 is the client's number of
/// samples. Clients with equal numbers are one batch; else the products are grouped by number.
void CudaOps::products(const Group& group, const Product& p) {
  const float one = 1, none = 0;
  const auto sized = [](int size, int samples) { return size == 0 ? samples : size; };
  std::map<int, std::vector<int>> clients;  // by their number of samples
  for (int g = 0; g < group.size(); ++g)
    if (group.samples[static_cast<std::size_t>(g)] != 0)
      clients[group.samples[static_cast<std::size_t>(g)]].push_back(g);
  if (clients.size() == 1 && clients.begin()->second.size() == group.samples.size()) {
    const int samples = clients.begin()->first;
    FEDSELECT_CUDA(cublasSgemmStridedBatched(
        cublas(), p.transa, p.transb, sized(p.m, samples), sized(p.n, samples), sized(p.k, samples),
        &one, p.a.data, p.lda, p.a.stride, p.b.data, p.ldb, p.b.stride, &none, p.c.data, p.ldc,
        p.c.stride, group.size()));
    return;
  }
  is_recordable_ = false;  // the library may keep the host's arrays of sizes by address
  std::vector<const float*> a, b;
  std::vector<float*> c;
  std::vector<int> m, n, k, sizes;
  for (const auto& [samples, members] : clients) {
    m.push_back(sized(p.m, samples));
    n.push_back(sized(p.n, samples));
    k.push_back(sized(p.k, samples));
    sizes.push_back(static_cast<int>(members.size()));
    for (const int g : members) {
      a.push_back(p.a[g]);
      b.push_back(p.b[g]);
      c.push_back(p.c[g]);
    }
  }
  const std::size_t groups = clients.size();
  const std::vector<cublasOperation_t> transa(groups, p.transa), transb(groups, p.transb);
  const std::vector<float> ones(groups, one), nones(groups, none);
  const std::vector<int> lda(groups, p.lda), ldb(groups, p.ldb), ldc(groups, p.ldc);
  FEDSELECT_CUDA(cublasSgemmGroupedBatched(
      cublas(), transa.data(), transb.data(), m.data(), n.data(), k.data(), ones.data(),
      constant(std::span<const float* const>(a)), lda.data(),
      constant(std::span<const float* const>(b)), ldb.data(), nones.data(),
      constant(std::span<float* const>(c)), ldc.data(), static_cast<int>(groups), sizes.data()));
}

void CudaOps::linear_forward(const Group& group, const LinearShape& shape, ConstValues x,
                             ConstValues weight, ConstValues bias, Values y) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  // Row-major y = x W^T is column-major y^T = W x^T.
  products(group, {.transa = CUBLAS_OP_T,
                   .transb = CUBLAS_OP_N,
                   .m = shape.out,
                   .n = 0,
                   .k = shape.in,
                   .a = weight,
                   .lda = shape.in,
                   .b = x,
                   .ldb = shape.in,
                   .c = y,
                   .ldc = shape.out});
  const auto values = static_cast<std::size_t>(here.most) * static_cast<std::size_t>(shape.out);
  if (bias)
    FEDSELECT_CUDA(launch(add_bias_kernel, grid_of(values, here.clients), kThreads, 0,
                          stream_.get(), here, shape.out, bias, y));
}

void CudaOps::linear_backward(const Group& group, const LinearShape& shape, ConstValues x,
                              ConstValues weight, ConstValues dy, Values dx, Values dweight,
                              Values dbias) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  if (dx)
    products(group, {.transa = CUBLAS_OP_N,
                     .transb = CUBLAS_OP_N,
                     .m = shape.in,
                     .n = 0,
                     .k = shape.out,
                     .a = weight,
                     .lda = shape.in,
                     .b = dy,
                     .ldb = shape.out,
                     .c = dx,
                     .ldc = shape.in});
  if (dweight)
    products(group, {.transa = CUBLAS_OP_N,
                     .transb = CUBLAS_OP_T,
                     .m = shape.in,
                     .n = shape.out,
                     .k = 0,
                     .a = x,
                     .lda = shape.in,
                     .b = dy,
                     .ldb = shape.out,
                     .c = dweight,
                     .ldc = shape.in});
  if (dbias)
    FEDSELECT_CUDA(launch(column_sums_kernel,
                          grid_of(static_cast<std::size_t>(shape.out), here.clients), kThreads, 0,
                          stream_.get(), here, shape.out, dy, dbias));
}

}  // namespace fedselect::cuda
