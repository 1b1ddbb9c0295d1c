// Steps of optimizers, and arithmetic on whole parameter vectors. Limited by memory: each array is
// read once, and written once where it changes; by SGD 16 bytes at a time.

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

/// Calls visit(index, bits of the four values from there on that are in scope) for a chunk; the
/// bits are never 0. mask: null for all.
template <class Visit>
__device__ __forceinline__ void for_each_quad(const Chunk& chunk, const Word* mask, bool inverted,
                                              const Visit& visit) {
  for (int at = static_cast<int>(threadIdx.x) * kQuad; at < chunk.size; at += kThreads * kQuad) {
    const std::size_t i = chunk.begin + static_cast<std::size_t>(at);
    unsigned bits = chunk.size - at >= kQuad ? 0xfU : (1U << (chunk.size - at)) - 1;
    if (mask != nullptr) {
      const Word word = inverted ? ~mask[i / kWordBits] : mask[i / kWordBits];
      bits &= static_cast<unsigned>(word >> (i % kWordBits)) & 0xfU;
    }
    if (bits != 0) visit(i, bits);
  }
}

struct SgdArrays {
  ConstValues scale;
  Values theta;
  ConstValues gradient;
  Values velocity;
  ConstBits mask;
};

__device__ __forceinline__ void sgd_value(const SgdRule& rule, float scale, float gradient,
                                          float& theta, float& velocity) {
  float change = __fmul_rn(scale, gradient);
  if (rule.weight_decay != 0) change = fmaf(rule.weight_decay, theta, change);
  if (rule.momentum != 0) change = velocity = fmaf(rule.momentum, velocity, change);
  theta = fmaf(-rule.rate, change, theta);
}

__global__ void sgd_kernel(DeviceGroup group, DeviceRanges ranges, SgdRule rule, SgdArrays a) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  const float scale = a.scale ? *a.scale[g] : 1.0F;
  const bool moves = rule.momentum != 0;
  for_each_quad(chunk, a.mask ? a.mask[g] : nullptr, rule.scope == Scope::shared,
                [&](std::size_t i, unsigned bits) {
                  const float4 old = load4(a.theta[g] + i);
                  const float4 gradient = load4(a.gradient[g] + i);
                  const float4 old_v = moves ? load4(a.velocity[g] + i) : float4{0, 0, 0, 0};
                  float4 t = old, v = old_v;
                  sgd_value(rule, scale, gradient.x, t.x, v.x);
                  sgd_value(rule, scale, gradient.y, t.y, v.y);
                  sgd_value(rule, scale, gradient.z, t.z, v.z);
                  sgd_value(rule, scale, gradient.w, t.w, v.w);
                  const auto choose = [bits](unsigned lane, float yes, float no) {
                    return ((bits >> lane) & 1U) != 0 ? yes : no;
                  };
                  store4(a.theta[g] + i, {choose(0, t.x, old.x), choose(1, t.y, old.y),
                                          choose(2, t.z, old.z), choose(3, t.w, old.w)});
                  if (moves)
                    store4(a.velocity[g] + i, {choose(0, v.x, old_v.x), choose(1, v.y, old_v.y),
                                               choose(2, v.z, old_v.z), choose(3, v.w, old_v.w)});
                });
}

struct AdamArrays {
  ConstValues scale;
  Values theta;
  ConstValues gradient;
  Values first, second;
  ConstBits mask;
};

/// Fused where the CPU's vectors are, so that the compiler has no say in the bits.
__global__ void adam_kernel(DeviceGroup group, DeviceRanges ranges, AdamRule rule,
                            const AdamStep* steps, AdamArrays a) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  const AdamStep step = steps[g];
  const float scale = a.scale ? *a.scale[g] : 1.0F;
  const Word* mask = a.mask ? a.mask[g] : nullptr;
  for (int at = static_cast<int>(threadIdx.x); at < chunk.size; at += kThreads) {
    const std::size_t i = chunk.begin + static_cast<std::size_t>(at);
    const bool personal = mask != nullptr && ((mask[i / kWordBits] >> (i % kWordBits)) & 1U) != 0;
    if (mask != nullptr && personal != (rule.scope == Scope::personal)) continue;
    const float theta = a.theta[g][i];
    const float gradient = fmaf(scale, a.gradient[g][i], __fmul_rn(rule.weight_decay, theta));
    const float m = fmaf(1 - rule.beta1, gradient, __fmul_rn(rule.beta1, a.first[g][i]));
    const float square = __fmul_rn(gradient, gradient);
    const float old = a.second[g][i];
    const float sign = old > square ? 1.F : old < square ? -1.F : 0.F;
    const float v = rule.yogi ? fmaf(-__fmul_rn(1 - rule.beta2, sign), square, old)
                              : fmaf(rule.beta2, old, __fmul_rn(1 - rule.beta2, square));
    const float divisor = fmaf(sqrtf(v), step.second_scale, rule.epsilon);
    a.first[g][i] = m;
    a.second[g][i] = v;
    a.theta[g][i] = __fsub_rn(theta, __fmul_rn(step.rate, m) / divisor);
  }
}

__global__ void combine_kernel(DeviceGroup group, std::size_t size, const float* a, ConstValues x,
                               const float* b, ConstValues y, Values out) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  for (std::size_t i = first_element(); i < size; i += element_step())
    out[g][i] = fmaf(a[g], x[g][i], __fmul_rn(b[g], y[g][i]));
}

__global__ void proximal_kernel(DeviceGroup group, std::size_t size, float lambda,
                                ConstValues theta, ConstValues anchor, Values gradient) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  for (std::size_t i = first_element(); i < size; i += element_step())
    gradient[g][i] = fmaf(lambda, theta[g][i] - anchor[g][i], gradient[g][i]);
}

}  // namespace

void CudaOps::sgd_step(const Group& group, std::span<const Range> ranges, const SgdRule& rule,
                       ConstValues scale, Values theta, ConstValues gradient, Values velocity,
                       ConstBits mask) {
  const DeviceGroup here = on_device(group);
  const DeviceRanges table = on_device(ranges);
  if (here.most == 0 || table.chunks == 0) return;
  FEDSELECT_CUDA(launch(sgd_kernel, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                        kThreads, 0, stream_.get(), here, table, rule,
                        SgdArrays{scale, theta, gradient, velocity, mask}));
}

void CudaOps::adam_step(const Group& group, std::span<const Range> ranges, const AdamRule& rule,
                        std::span<const AdamStep> steps, ConstValues scale, Values theta,
                        ConstValues gradient, Values first, Values second, ConstBits mask) {
  const DeviceGroup here = on_device(group);
  const DeviceRanges table = on_device(ranges);
  if (here.most == 0 || table.chunks == 0) return;
  Arena::Frame frame(arena_);
  const auto* sent = send(frame, steps.first(static_cast<std::size_t>(here.clients)));
  FEDSELECT_CUDA(launch(adam_kernel, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                        kThreads, 0, stream_.get(), here, table, rule, sent,
                        AdamArrays{scale, theta, gradient, first, second, mask}));
}

void CudaOps::combine(const Group& group, std::size_t size, std::span<const float> a, ConstValues x,
                      std::span<const float> b, ConstValues y, Values out) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || size == 0) return;
  Arena::Frame frame(arena_);
  const auto clients = static_cast<std::size_t>(here.clients);
  const float* sent_a = send(frame, a.first(clients));
  const float* sent_b = send(frame, b.first(clients));
  FEDSELECT_CUDA(launch(combine_kernel, grid_of(size, here.clients), kThreads, 0, stream_.get(),
                        here, size, sent_a, x, sent_b, y, out));
}

void CudaOps::add_proximal(const Group& group, std::size_t size, float lambda, ConstValues theta,
                           ConstValues anchor, Values gradient) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || size == 0) return;
  FEDSELECT_CUDA(launch(proximal_kernel, grid_of(size, here.clients), kThreads, 0, stream_.get(),
                        here, size, lambda, theta, anchor, gradient));
}

}  // namespace fedselect::cuda
