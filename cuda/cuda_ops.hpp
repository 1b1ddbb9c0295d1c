#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "arena.hpp"
#include "check.hpp"
#include "device.hpp"
#include "device_views.hpp"
#include "ops/ops.hpp"
#include "pinned_ring.hpp"

namespace fedselect::cuda {

using namespace ops;  // NOLINT(google-build-using-namespace): their contract is implemented here

/// The op set on one GPU, all on one stream: an op costs the same number of launches for any number
/// of clients. beside() is another one of these, with a stream of its own.
///
/// Ops that return something to the host wait for the device; all others return as soon as their
/// work is queued. Numbers that ops get from the host go to the device: ranges once, equal ones are
/// found again by their content; numbers of samples, to one place, when they differ from those of
/// the op before. Results don't depend on which clients share a group. The ops stand
/// in ops_*.cu, by topic, each kernel beside the op that launches it.
class CudaOps final : public Ops {
 public:
  /// On device number `device`, which becomes this thread's current one. Throws SystemError.
  explicit CudaOps(int device);
  ~CudaOps() override;

  std::string device() const override;
  void enter_phase(std::string_view name) override;

  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void zero(void* device, std::size_t bytes) override;
  std::shared_ptr<const void> place(const void* host, std::size_t bytes) override;
  void replay(std::span<const std::uint64_t> key, const Group& group,
              const std::function<void()>& work) override;
  Ops& beside() override;
  void after(Ops& other) override;

  void begin_batch() override;
  void finish_batches() override;
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

  /// For what shares the stream: sums over ranks.
  cudaStream_t stream() const { return stream_.get(); }
  /// Waits for all that was queued.
  void synchronize();

 private:
  /// The group's numbers on the device. An op calls it before it asks for constants.
  DeviceGroup on_device(const Group& group);
  /// Ranges, cut into chunks; null for no range that is not empty.
  DeviceRanges on_device(std::span<const Range> ranges);
  /// Values that come again and again (ranges), on the device, to be read by this op only.
  template <class T>
  const T* constant(std::span<const T> values) {
    return static_cast<const T*>(constant_bytes(std::as_bytes(values)));
  }
  const void* constant_bytes(std::span<const std::byte> bytes);
  /// Values that differ from call to call (rates, weights), on the device until the frame goes. Not
  /// for ops that a step replays.
  template <class T>
  const T* send(Arena::Frame& frame, std::span<const T> values) {
    T* device = frame.take<T>(values.size());
    upload(device, values.data(), values.size_bytes());
    return device;
  }
  /// Host <- device, waits.
  template <class T>
  void fetch(std::span<T> host, const T* device) {
    download(host.data(), device, host.size_bytes());
  }
  void forget();
  Values pack_weights(Arena::Frame& frame, const DeviceGroup& here, const ConvShape& shape,
                      bool out_is_inner, ConstValues weight);
  /// [rows][columns] -> [columns][rows] of each sample.
  void transpose(const Group& group, int rows, int columns, ConstValues x, Values y);
  /// For each client the set bits before each chunk, and all of them.
  struct Ranks {
    unsigned* before;
    unsigned long long* totals;
  };
  Ranks rank_bits(Arena::Frame& frame, const DeviceGroup& here, const DeviceRanges& table,
                  ConstBits mask);
  /// Per client and chunk of the ranges: the sum of x y.
  double* partial_dots(Arena::Frame& frame, const DeviceGroup& here, const DeviceRanges& table,
                       ConstValues x, ConstValues y);

  int device_;
  std::string name_;
  Stream stream_;
  Arena arena_;
  PinnedRing pinned_;
  DeviceMemory samples_;          ///< of the last op's group, one number a client
  std::vector<int> samples_now_;  ///< the same, on the host
  std::unordered_map<std::string, DeviceMemory> constants_;
  std::unordered_map<std::string, Graph> replays_;  ///< empty: seen once
  std::size_t arena_generation_ = 0;                ///< with which the graphs were recorded
  bool capturing_ = false;
  bool in_phase_ = false;
  std::array<Event, kBatchesAhead> begun_;  ///< where the last batches begin, by turns
  std::size_t batches_ = 0;                 ///< begun since the last finish_batches()
  Event reached_;                           ///< in this stream, where others wait for it
  std::unique_ptr<CudaOps> beside_;         ///< made when it is first asked for
};

}  // namespace fedselect::cuda
