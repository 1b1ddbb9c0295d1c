#include <cublas_v2.h>

#include <Eigen/Core>
#include <vector>

#include "streams.hpp"

struct cublasContextOnHost {
  cudaStream_t stream = nullptr;
};

namespace {

/// C <- alpha op(A) op(B) + beta C; C is not read if beta is 0.
struct Product {
  cublasOperation_t transa, transb;
  int m, n, k;
  float alpha, beta;
  int lda, ldb, ldc;

  void run(const float* a, const float* b, float* c) const {
    using Matrix = Eigen::MatrixXf;
    using Stride = Eigen::OuterStride<>;
    const auto view = [](const float* data, bool transposed, int rows, int columns, int stride) {
      return Eigen::Map<const Matrix, 0, Stride>(data, transposed ? columns : rows,
                                                 transposed ? rows : columns, Stride(stride));
    };
    const bool ta = transa == CUBLAS_OP_T, tb = transb == CUBLAS_OP_T;
    const auto left = view(a, ta, m, k, lda);
    const auto right = view(b, tb, k, n, ldb);
    Eigen::Map<Matrix, 0, Stride> out(c, m, n, Stride(ldc));
    Matrix product(m, n);
    if (ta && tb)
      product.noalias() = left.transpose() * right.transpose();
    else if (ta)
      product.noalias() = left.transpose() * right;
    else if (tb)
      product.noalias() = left * right.transpose();
    else
      product.noalias() = left * right;
    if (beta == 0)
      out = alpha * product;
    else
      out = alpha * product + beta * out;
  }
};

cublasStatus_t status_of(cudaError_t code) {
  return code == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_INVALID_VALUE: return "invalid value";
    default: return "execution failed";
  }
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContextOnHost;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t /*handle*/, cublasMath_t /*mode*/) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t /*handle*/, void* /*workspace*/,
                                  std::size_t /*bytes*/) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const float* alpha, const float* a, int lda,
                                         long long stride_a, const float* b, int ldb,
                                         long long stride_b, const float* beta, float* c, int ldc,
                                         long long stride_c, int count) {
  const Product product{transa, transb, m, n, k, *alpha, *beta, lda, ldb, ldc};
  return status_of(fedselect::cuda::host::enqueue(handle->stream, [=] {
    for (int i = 0; i < count; ++i)
      product.run(a + i * stride_a, b + i * stride_b, c + i * stride_c);
  }));
}

cublasStatus_t cublasSgemmGroupedBatched(cublasHandle_t handle, const cublasOperation_t transa[],
                                         const cublasOperation_t transb[], const int m[],
                                         const int n[], const int k[], const float alpha[],
                                         const float* const a[], const int lda[],
                                         const float* const b[], const int ldb[],
                                         const float beta[], float* const c[], const int ldc[],
                                         int group_count, const int group_size[]) {
  std::vector<Product> products;
  for (int g = 0; g < group_count; ++g)
    for (int i = 0; i < group_size[g]; ++i)
      products.push_back(
          {transa[g], transb[g], m[g], n[g], k[g], alpha[g], beta[g], lda[g], ldb[g], ldc[g]});
  return status_of(fedselect::cuda::host::enqueue(handle->stream, [=] {
    for (std::size_t i = 0; i < products.size(); ++i) products[i].run(a[i], b[i], c[i]);
  }));
}
