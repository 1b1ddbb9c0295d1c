#include "ops/cpu/layer_kernels.hpp"

#include "ops/cpu/conv_kernels.hpp"
#include "ops/cpu/gemm_kernels.hpp"
#include "ops/cpu/image_kernels.hpp"
#include "ops/cpu/linear_kernels.hpp"
#include "ops/cpu/norm_kernels.hpp"
#include "ops/cpu/pool_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

void transpose_dense(const float* from, Index rows, Index columns, float* to) {
  transpose(from, columns, rows, columns, to, rows);
}

}  // namespace

extern const LayerKernels kLayerKernels;
const LayerKernels kLayerKernels = {
    .place = place,
    .normalize = normalize,
    .conv_scratch = conv_scratch,
    .conv_forward = conv_forward,
    .conv_backward = conv_backward,
    .linear_scratch = linear_scratch,
    .linear_forward = linear_forward,
    .linear_backward = linear_backward,
    .max_pool_forward = max_pool_forward,
    .max_pool_backward = max_pool_backward,
    .mean_pool_forward = mean_pool_forward,
    .mean_pool_backward = mean_pool_backward,
    .channel_moments = channel_moments,
    .channel_affine = channel_affine,
    .channel_products = channel_products,
    .channel_gradient = channel_gradient,
    .add = add,
    .relu_forward = relu_forward,
    .relu_backward = relu_backward,
    .transpose = transpose_dense,
};

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
