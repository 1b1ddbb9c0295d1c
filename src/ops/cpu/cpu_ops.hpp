#pragma once

#include "base/aligned.hpp"
#include "ops/cpu/kernels.hpp"
#include "ops/ops.hpp"

namespace fedselect::ops::cpu {

/// The op set on one thread of a CPU. Clients of a group are processed one after another.
///
/// Scratch memory grows to what the largest call needed and is then reused: no allocation in the
/// steady state. Layer ops stand in cpu_layers.cpp and cpu_norms.cpp, ops on features by class in
/// cpu_classes.cpp, ops on parameter vectors in cpu_parameters.cpp.
class CpuOps : public Ops {
 public:
  explicit CpuOps(Isa isa = best_isa());

  std::string device() const override;
  void enter_phase(std::string_view /*name*/) override {}

  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void zero(void* device, std::size_t bytes) override;
  std::shared_ptr<const void> place(const void* host, std::size_t bytes) override;
  void replay(std::span<const std::uint64_t> key, const Group& group,
              const std::function<void()>& work) override;
  Ops& beside() override { return *this; }
  void after(Ops& /*other*/) override {}

  void gather_batch(const Group& group, const SampleSource& source,
                    Grouped<const std::int32_t> indices, Grouped<const Placement> placements,
                    Values x, Grouped<std::int32_t> y) override;
  void conv_forward(const Group& group, const ConvShape& shape, ConstValues x, ConstValues weight,
                    ConstValues bias, Values y) override;
  void conv_backward(const Group& group, const ConvShape& shape, ConstValues x, ConstValues weight,
                     ConstValues dy, Values dx, Values dweight, Values dbias) override;
  void linear_forward(const Group& group, const LinearShape& shape, ConstValues x,
                      ConstValues weight, ConstValues bias, Values y) override;
  void linear_backward(const Group& group, const LinearShape& shape, ConstValues x,
                       ConstValues weight, ConstValues dy, Values dx, Values dweight,
                       Values dbias) override;
  void max_pool_forward(const Group& group, const PoolShape& shape, ConstValues x, Values y,
                        Grouped<std::uint8_t> argmax) override;
  void max_pool_backward(const Group& group, const PoolShape& shape, ConstValues dy,
                         Grouped<const std::uint8_t> argmax, Values dx) override;
  void mean_pool_forward(const Group& group, const ImageShape& shape, ConstValues x,
                         Values y) override;
  void mean_pool_backward(const Group& group, const ImageShape& shape, ConstValues dy,
                          Values dx) override;
  void batch_norm_train(const Group& group, const BatchNormShape& shape, ConstValues x,
                        ConstValues weight, ConstValues bias, Values running_mean,
                        Values running_variance, Values y, Values kept) override;
  void batch_norm_evaluate(const Group& group, const BatchNormShape& shape, ConstValues x,
                           ConstValues weight, ConstValues bias, ConstValues running_mean,
                           ConstValues running_variance, Values y) override;
  void batch_norm_backward(const Group& group, const BatchNormShape& shape, ConstValues x,
                           ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                           Values dweight, Values dbias) override;
  void group_norm_forward(const Group& group, const GroupNormShape& shape, ConstValues x,
                          ConstValues weight, ConstValues bias, Values y, Values kept) override;
  void group_norm_backward(const Group& group, const GroupNormShape& shape, ConstValues x,
                           ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                           Values dweight, Values dbias) override;
  void add(const Group& group, std::size_t size, ConstValues x, Values y) override;
  void relu_forward(const Group& group, std::size_t size, Values x) override;
  void relu_backward(const Group& group, std::size_t size, ConstValues y, Values dy) override;
  void channels_first(const Group& group, const ImageShape& shape, ConstValues x,
                      Values y) override;
  void channels_last(const Group& group, const ImageShape& shape, ConstValues x, Values y) override;
  void cross_entropy(const Group& group, int classes, ConstValues logits,
                     Grouped<const std::int32_t> labels, Values dlogits,
                     const LossSums& sums) override;
  void add_class_sums(const Group& group, std::size_t size, ConstValues x,
                      Grouped<const std::int32_t> labels, Grouped<double> sums) override;
  void pull_to_class(const Group& group, std::size_t size, std::span<const float> factor,
                     ConstValues x, Grouped<const std::int32_t> labels, ConstValues targets,
                     Values dx) override;

  void clip_scale(const Group& group, std::span<const Range> ranges, double limit,
                  ConstValues gradient, Values scale) override;
  void sgd_step(const Group& group, std::span<const Range> ranges, const SgdRule& rule,
                ConstValues scale, Values theta, ConstValues gradient, Values velocity,
                ConstBits mask) override;
  void adam_step(const Group& group, std::span<const Range> ranges, const AdamRule& rule,
                 std::span<const AdamStep> steps, ConstValues scale, Values theta,
                 ConstValues gradient, Values first, Values second, ConstBits mask) override;
  void combine(const Group& group, std::size_t size, std::span<const float> a, ConstValues x,
               std::span<const float> b, ConstValues y, Values out) override;
  void dot(const Group& group, std::span<const Range> ranges, ConstValues x, ConstValues y,
           std::span<double> out) override;
  void largest_magnitude(const Group& group, std::size_t size, ConstValues values,
                         std::span<double> out) override;
  void add_proximal(const Group& group, std::size_t size, float lambda, ConstValues theta,
                    ConstValues anchor, Values gradient) override;
  void change_magnitude(const Group& group, std::size_t size, ConstValues theta,
                        ConstValues reference, Values out) override;
  void bits_and_not(const Group& group, std::size_t words, ConstBits a, ConstBits b,
                    Bits out) override;
  void bits_or(const Group& group, std::size_t words, ConstBits a, ConstBits b, Bits out) override;
  void count_bits(const Group& group, std::span<const Range> ranges, ConstBits bits,
                  std::span<std::int64_t> counts) override;
  void select_top(const Group& group, std::span<const Range> ranges,
                  std::span<const std::int64_t> counts, Ties ties, bool skip_zero,
                  ConstValues score, ConstBits eligible, Bits chosen) override;
  std::ptrdiff_t accumulate(const Group& group, std::size_t size, const FixedPoint& fixed,
                            std::span<const std::uint32_t> weights, ConstValues theta,
                            ConstBits mask, const SumView& sum) override;
  void divide(std::size_t size, const FixedPoint& fixed, const SumView& sum,
              float* global) override;
  void unshared(std::size_t size, const SumView& sum, Word* bits) override;
  void pack(const Group& group, std::size_t size, ConstValues theta, ConstBits mask, Values packed,
            std::span<std::size_t> counts) override;
  void unpack(const Group& group, std::size_t size, ConstValues packed, ConstBits mask,
              Values theta) override;

 private:
  /// 64-byte aligned scratch of at least `floats`, unspecified content, valid until the next call.
  float* scratch(std::size_t floats);

  const LayerKernels& layers_;
  const ParameterKernels& parameters_;
  Isa isa_;
  AlignedVector<float> scratch_;
};

}  // namespace fedselect::ops::cpu
