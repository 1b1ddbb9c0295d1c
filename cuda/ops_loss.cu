// The loss, in double precision, and what methods do to features by class. Small beside the layers.

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

constexpr int kWarps = kThreads / kWarp;

struct LossArrays {
  ConstValues logits;
  Grouped<const std::int32_t> labels;
  Values dlogits;
  LossSums sums;
};

/// One block a client, one thread a sample.
__global__ void cross_entropy_kernel(DeviceGroup group, int classes, LossArrays a) {
  __shared__ double losses[kWarps];
  __shared__ int hits[kWarps];
  const int g = static_cast<int>(blockIdx.y);
  const int samples = group.samples[g];
  if (samples == 0) return;
  double loss = 0;
  int correct = 0;
  for (int i = static_cast<int>(threadIdx.x); i < samples; i += kThreads) {
    const float* logits = a.logits[g] + static_cast<std::ptrdiff_t>(i) * classes;
    const int label = a.labels[g][i];
    int largest = 0;
    for (int k = 1; k < classes; ++k)
      if (logits[k] > logits[largest]) largest = k;
    const double top = logits[largest];
    double sum = 0;
    for (int k = 0; k < classes; ++k) sum += exp(logits[k] - top);
    if (a.dlogits) {
      float* dlogits = a.dlogits[g] + static_cast<std::ptrdiff_t>(i) * classes;
      const double scale = 1.0 / samples;
      for (int k = 0; k < classes; ++k)
        dlogits[k] =
            static_cast<float>(scale * (exp(logits[k] - top) / sum - (k == label ? 1.0 : 0.0)));
    }
    loss += log(sum) + top - logits[label];
    correct += largest == label ? 1 : 0;
  }
  loss = block_sum(loss, losses);
  correct = block_sum(correct, hits);
  if (threadIdx.x == 0) {
    *a.sums.loss[g] += loss;
    *a.sums.correct[g] += correct;
  }
}

/// A thread adds up one feature, sample after sample.
__global__ void class_sums_kernel(DeviceGroup group, std::size_t size, ConstValues x,
                                  Grouped<const std::int32_t> labels, Grouped<double> sums) {
  const int g = static_cast<int>(blockIdx.y);
  const int samples = group.samples[g];
  for (std::size_t j = first_element(); j < size; j += element_step())
    for (int i = 0; i < samples; ++i)
      sums[g][static_cast<std::size_t>(labels[g][i]) * (size + 2) + j] +=
          static_cast<double>(x[g][static_cast<std::size_t>(i) * size + j]);
}

/// One block a client: numbers of samples and squares of features.
__global__ void class_squares_kernel(DeviceGroup group, std::size_t size, ConstValues x,
                                     Grouped<const std::int32_t> labels, Grouped<double> sums) {
  __shared__ double space[kWarps];
  const int g = static_cast<int>(blockIdx.y);
  const int samples = group.samples[g];
  for (int i = 0; i < samples; ++i) {
    double squares = 0;
    for (std::size_t j = threadIdx.x; j < size; j += kThreads) {
      const double value = x[g][static_cast<std::size_t>(i) * size + j];
      squares += value * value;
    }
    squares = block_sum(squares, space);
    if (threadIdx.x != 0) continue;
    double* row = sums[g] + static_cast<std::size_t>(labels[g][i]) * (size + 2);
    row[size] += 1;
    row[size + 1] += squares;
  }
}

__global__ void pull_kernel(DeviceGroup group, std::size_t size, const float* factor, ConstValues x,
                            Grouped<const std::int32_t> labels, ConstValues targets, Values dx) {
  const int g = static_cast<int>(blockIdx.y);
  const std::size_t n = static_cast<std::size_t>(group.samples[g]) * size;
  for (std::size_t i = first_element(); i < n; i += element_step()) {
    const float* target = targets[g] + static_cast<std::size_t>(labels[g][i / size]) * (size + 1);
    if (target[size] != 0) dx[g][i] = fmaf(factor[g], x[g][i] - target[i % size], dx[g][i]);
  }
}

}  // namespace

void CudaOps::cross_entropy(const Group& group, int classes, ConstValues logits,
                            Grouped<const std::int32_t> labels, Values dlogits,
                            const LossSums& sums) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  FEDSELECT_CUDA(launch(cross_entropy_kernel, dim3(1, static_cast<unsigned>(here.clients)),
                        kThreads, 0, stream_.get(), here, classes,
                        LossArrays{logits, labels, dlogits, sums}));
}

void CudaOps::add_class_sums(const Group& group, std::size_t size, ConstValues x,
                             Grouped<const std::int32_t> labels, Grouped<double> sums) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || size == 0) return;
  FEDSELECT_CUDA(launch(class_sums_kernel, grid_of(size, here.clients), kThreads, 0, stream_.get(),
                        here, size, x, labels, sums));
  FEDSELECT_CUDA(launch(class_squares_kernel, dim3(1, static_cast<unsigned>(here.clients)),
                        kThreads, 0, stream_.get(), here, size, x, labels, sums));
}

void CudaOps::pull_to_class(const Group& group, std::size_t size, std::span<const float> factor,
                            ConstValues x, Grouped<const std::int32_t> labels, ConstValues targets,
                            Values dx) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || size == 0) return;
  Arena::Frame frame(arena_);
  const float* sent = send(frame, factor.first(static_cast<std::size_t>(here.clients)));
  FEDSELECT_CUDA(launch(pull_kernel,
                        grid_of(static_cast<std::size_t>(here.most) * size, here.clients), kThreads,
                        0, stream_.get(), here, size, sent, x, labels, targets, dx));
}

}  // namespace fedselect::cuda
