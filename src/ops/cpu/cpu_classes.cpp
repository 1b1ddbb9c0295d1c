#include "ops/cpu/cpu_ops.hpp"
#include "ops/cpu/each_client.hpp"

namespace fedselect::ops::cpu {

void CpuOps::add_class_sums(const Group& group, std::size_t size, ConstValues x,
                            Grouped<const std::int32_t> labels, Grouped<double> sums) {
  for_each_client(group, [&](int g, int samples) {
    for (int i = 0; i < samples; ++i) {
      const float* features = x[g] + total(size, i);
      double* row = sums[g] + total(size + 2, labels[g][i]);
      double squares = 0;
      for (std::size_t j = 0; j < size; ++j) {
        const double value = features[j];
        row[j] += value;
        squares += value * value;
      }
      row[size] += 1;
      row[size + 1] += squares;
    }
  });
}

void CpuOps::pull_to_class(const Group& group, std::size_t size, std::span<const float> factor,
                           ConstValues x, Grouped<const std::int32_t> labels, ConstValues targets,
                           Values dx) {
  for_each_client(group, [&](int g, int samples) {
    const float scale = factor[static_cast<std::size_t>(g)];
    for (int i = 0; i < samples; ++i) {
      const float* target = targets[g] + total(size + 1, labels[g][i]);
      if (target[size] == 0) continue;
      const float* features = x[g] + total(size, i);
      float* out = dx[g] + total(size, i);
      for (std::size_t j = 0; j < size; ++j) out[j] += scale * (features[j] - target[j]);
    }
  });
}

}  // namespace fedselect::ops::cpu
