#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fed/phase_clock.hpp"
#include "ops/ops.hpp"

namespace fedselect {

/// Samples that went through a network.
struct Work {
  std::int64_t forward = 0;   ///< forward only: tests, and what a method looks at
  std::int64_t backward = 0;  ///< forward and backward

  Work operator-(const Work& other) const {
    return {forward - other.forward, backward - other.backward};
  }
  Work& operator+=(const Work& other) {
    forward += other.forward;
    backward += other.backward;
    return *this;
  }
  bool operator==(const Work&) const = default;
};

/// Work by the phase in which it is done.
using PhaseWork = std::array<Work, kPhases>;

/// An op set that computes no values: what a method does on it is what it does anywhere, but takes
/// no time and, for values, no memory. So methods are not told a second time to be estimated.
///
/// Masks are real: bits are set, joined and counted. Values are not: whatever is longer than the
/// `largest_real` of the constructor is neither copied nor cleared (its memory is never touched, so
/// the system gives none), and every op on values leaves them as they are. In their place stand the
/// plainest answers: no value is too large; a test finds every sample right, so methods that wait
/// for accuracy don't wait; of the indices that may be chosen so many are taken as asked for,
/// others each time. It counts samples by phase, and the memory that a device would be asked for.
class BlankOps final : public ops::Ops {
 public:
  /// `largest_real`: bytes; no less than a mask has.
  explicit BlankOps(std::size_t largest_real) : largest_real_(largest_real) {}

  /// Since the object was made.
  const PhaseWork& work() const { return work_; }
  /// The most bytes that were allocated at a time; what place() was given is not in it.
  std::size_t peak_bytes() const { return *peak_; }
  /// Whether a selection may take fewer indices than asked for, those that did not change.
  bool may_take_fewer() const { return may_take_fewer_; }

  std::string device() const override { return "blank"; }
  void enter_phase(std::string_view name) override;

  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void zero(void* device, std::size_t bytes) override;
  std::shared_ptr<const void> place(const void* host, std::size_t bytes) override;
  void replay(std::span<const std::uint64_t> key, const ops::Group& group,
              const std::function<void()>& work) override;
  Ops& beside() override { return *this; }
  void after(Ops& /*other*/) override {}

  void gather_batch(const ops::Group&, const ops::SampleSource&, ops::Grouped<const std::int32_t>,
                    ops::Grouped<const ops::Placement>, ops::Values,
                    ops::Grouped<std::int32_t>) override;
  void conv_forward(const ops::Group&, const ops::ConvShape&, ops::ConstValues, ops::ConstValues,
                    ops::ConstValues, ops::Values) override {}
  void conv_backward(const ops::Group&, const ops::ConvShape&, ops::ConstValues, ops::ConstValues,
                     ops::ConstValues, ops::Values, ops::Values, ops::Values) override {}
  void linear_forward(const ops::Group&, const ops::LinearShape&, ops::ConstValues,
                      ops::ConstValues, ops::ConstValues, ops::Values) override {}
  void linear_backward(const ops::Group&, const ops::LinearShape&, ops::ConstValues,
                       ops::ConstValues, ops::ConstValues, ops::Values, ops::Values,
                       ops::Values) override {}
  void max_pool_forward(const ops::Group&, const ops::PoolShape&, ops::ConstValues, ops::Values,
                        ops::Grouped<std::uint8_t>) override {}
  void max_pool_backward(const ops::Group&, const ops::PoolShape&, ops::ConstValues,
                         ops::Grouped<const std::uint8_t>, ops::Values) override {}
  void mean_pool_forward(const ops::Group&, const ops::ImageShape&, ops::ConstValues,
                         ops::Values) override {}
  void mean_pool_backward(const ops::Group&, const ops::ImageShape&, ops::ConstValues,
                          ops::Values) override {}
  void batch_norm_train(const ops::Group&, const ops::BatchNormShape&, ops::ConstValues,
                        ops::ConstValues, ops::ConstValues, ops::Values, ops::Values, ops::Values,
                        ops::Values) override {}
  void batch_norm_evaluate(const ops::Group&, const ops::BatchNormShape&, ops::ConstValues,
                           ops::ConstValues, ops::ConstValues, ops::ConstValues, ops::ConstValues,
                           ops::Values) override {}
  void batch_norm_backward(const ops::Group&, const ops::BatchNormShape&, ops::ConstValues,
                           ops::ConstValues, ops::ConstValues, ops::ConstValues, ops::Values,
                           ops::Values, ops::Values) override {}
  void group_norm_forward(const ops::Group&, const ops::GroupNormShape&, ops::ConstValues,
                          ops::ConstValues, ops::ConstValues, ops::Values, ops::Values) override {}
  void group_norm_backward(const ops::Group&, const ops::GroupNormShape&, ops::ConstValues,
                           ops::ConstValues, ops::ConstValues, ops::ConstValues, ops::Values,
                           ops::Values, ops::Values) override {}
  void add(const ops::Group&, std::size_t, ops::ConstValues, ops::Values) override {}
  void relu_forward(const ops::Group&, std::size_t, ops::Values) override {}
  void relu_backward(const ops::Group&, std::size_t, ops::ConstValues, ops::Values) override {}
  void channels_first(const ops::Group&, const ops::ImageShape&, ops::ConstValues,
                      ops::Values) override {}
  void channels_last(const ops::Group&, const ops::ImageShape&, ops::ConstValues,
                     ops::Values) override {}
  void cross_entropy(const ops::Group&, int, ops::ConstValues, ops::Grouped<const std::int32_t>,
                     ops::Values, const ops::LossSums&) override;
  void add_class_sums(const ops::Group&, std::size_t, ops::ConstValues,
                      ops::Grouped<const std::int32_t>, ops::Grouped<double>) override;
  void pull_to_class(const ops::Group&, std::size_t, std::span<const float>, ops::ConstValues,
                     ops::Grouped<const std::int32_t>, ops::ConstValues, ops::Values) override {}

  void clip_scale(const ops::Group&, std::span<const ops::Range>, double, ops::ConstValues,
                  ops::Values) override {}
  void sgd_step(const ops::Group&, std::span<const ops::Range>, const ops::SgdRule&,
                ops::ConstValues, ops::Values, ops::ConstValues, ops::Values,
                ops::ConstBits) override {}
  void adam_step(const ops::Group&, std::span<const ops::Range>, const ops::AdamRule&,
                 std::span<const ops::AdamStep>, ops::ConstValues, ops::Values, ops::ConstValues,
                 ops::Values, ops::Values, ops::ConstBits) override {}
  void combine(const ops::Group&, std::size_t, std::span<const float>, ops::ConstValues,
               std::span<const float>, ops::ConstValues, ops::Values) override {}
  void dot(const ops::Group&, std::span<const ops::Range>, ops::ConstValues, ops::ConstValues,
           std::span<double> out) override;
  void largest_magnitude(const ops::Group&, std::size_t, ops::ConstValues,
                         std::span<double> out) override;
  void add_proximal(const ops::Group&, std::size_t, float, ops::ConstValues, ops::ConstValues,
                    ops::Values) override {}

  void change_magnitude(const ops::Group&, std::size_t, ops::ConstValues, ops::ConstValues,
                        ops::Values) override {}
  void bits_and_not(const ops::Group& group, std::size_t words, ops::ConstBits a, ops::ConstBits b,
                    ops::Bits out) override;
  void bits_or(const ops::Group& group, std::size_t words, ops::ConstBits a, ops::ConstBits b,
               ops::Bits out) override;
  void count_bits(const ops::Group& group, std::span<const ops::Range> ranges, ops::ConstBits bits,
                  std::span<std::int64_t> counts) override;
  void select_top(const ops::Group& group, std::span<const ops::Range> ranges,
                  std::span<const std::int64_t> counts, ops::Ties ties, bool skip_zero,
                  ops::ConstValues score, ops::ConstBits eligible, ops::Bits chosen) override;

  std::ptrdiff_t accumulate(const ops::Group&, std::size_t, const ops::FixedPoint&,
                            std::span<const std::uint32_t>, ops::ConstValues, ops::ConstBits,
                            const ops::SumView&) override {
    return -1;
  }
  void divide(std::size_t, const ops::FixedPoint&, const ops::SumView&, float*) override {}
  void unshared(std::size_t, const ops::SumView&, Word*) override {}
  void pack(const ops::Group& group, std::size_t size, ops::ConstValues theta, ops::ConstBits mask,
            ops::Values packed, std::span<std::size_t> counts) override;
  void unpack(const ops::Group&, std::size_t, ops::ConstValues, ops::ConstBits,
              ops::Values) override {}

 private:
  std::size_t largest_real_;
  std::shared_ptr<std::size_t> now_ = std::make_shared<std::size_t>(0);  ///< arrays outlive views
  std::shared_ptr<std::size_t> peak_ = std::make_shared<std::size_t>(0);
  std::size_t phase_ = static_cast<std::size_t>(Phase::other);
  PhaseWork work_{};
  bool may_take_fewer_ = false;
  std::uint64_t selections_ = 0;
};

}  // namespace fedselect
