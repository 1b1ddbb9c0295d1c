#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bits.hpp"
#include "ops/shapes.hpp"

namespace fedselect::ops {

/// The same array of every client of a group: client g's starts at `data + g * stride`.
template <class T>
struct Grouped {
  T* data = nullptr;
  std::ptrdiff_t stride = 0;

  constexpr T* operator[](int g) const { return data + g * stride; }
  constexpr explicit operator bool() const { return data != nullptr; }
  // clang-format off
  template <class Const> requires std::is_same_v<Const, const T>
  constexpr operator Grouped<Const>() const {  // NOLINT(google-explicit-constructor)
    return {data, stride};
  }
  // clang-format on
  /// The part that starts `offset` elements into each client's array.
  constexpr Grouped at(std::size_t offset) const {
    return {data == nullptr ? nullptr : data + offset, stride};
  }
};

using Values = Grouped<float>;
using ConstValues = Grouped<const float>;
using Bits = Grouped<Word>;
using ConstBits = Grouped<const Word>;

/// Clients trained side by side on one device, and how many samples each brings to this step.
/// A client with 0 samples sits the step out: nothing of it is read or written.
struct Group {
  std::span<const int> samples;

  int size() const { return static_cast<int>(samples.size()); }
};

/// A run of indices of the parameter vector. `begin` is a multiple of 64, so its bits start a word.
struct Range {
  std::size_t begin = 0;
  std::size_t size = 0;
};

/// Which indices a step may change, by the client's mask (1 = personal).
enum class Scope { all, shared, personal };

/// v <- momentum v + (s g + weight_decay theta); theta <- theta - rate v, at the indices in scope.
/// Source: torch.optim.SGD (dampening 0, no Nesterov). s is the client's gradient scale (clipping).
struct SgdRule {
  float rate = 0;
  float momentum = 0;
  float weight_decay = 0;
  Scope scope = Scope::all;
};

/// first <- beta1 first + (1 - beta1) g; second <- beta2 second + (1 - beta2) g^2, or Yogi's
/// second - (1 - beta2) sign(second - g^2) g^2; theta <- theta - rate first / (sqrt(second) scale +
/// epsilon), at the indices in scope, with g = s gradient + weight_decay theta and per client the
/// rate and the scale of the second moment, which hold the bias corrections. Source: Kingma and Ba,
/// ICLR 2015, as in torch.optim.Adam; Reddi et al., ICLR 2021, algorithm 2.
struct AdamRule {
  float beta1 = 0;
  float beta2 = 0;
  float epsilon = 0;
  float weight_decay = 0;
  bool yogi = false;
  Scope scope = Scope::all;
};

/// What differs between the clients of an Adam step (host).
struct AdamStep {
  float rate = 0;
  float second_scale = 1;
};

/// What a client's batches add up to, in device memory, one number each.
struct LossSums {
  Grouped<double> loss;           ///< over samples
  Grouped<std::int32_t> correct;  ///< samples whose largest logit (first of equals) is the label
};

/// Which of the eligible indices a selection takes when scores tie or vanish.
enum class Ties {
  exact,      ///< exactly as many as asked for, lower index first
  threshold,  ///< every index whose score reaches that of the last one asked for
};

/// Fixed-point form of the shared sums: a value v of integer weight w adds w * round(v *
/// 2^fraction_bits).
///
/// |v| must stay below kMagnitudeLimit. `two_words`: the total weight is so large that 64 bits
/// can't hold the sum; each product is then split into a low word of 32 bits and a high word,
/// summed apart.
struct FixedPoint {
  static constexpr int kMagnitudeBits = 12;
  static constexpr float kMagnitudeLimit = 1 << kMagnitudeBits;

  int fraction_bits = 0;
  bool two_words = false;
};

/// The sums to which clients add. high is null unless two_words.
struct SumView {
  std::int64_t* low = nullptr;
  std::int64_t* high = nullptr;
  std::uint32_t* weight = nullptr;  ///< per index: total weight of its sharers
};

/// The op set of a device: everything that training, selection and aggregation do to arrays.
///
/// Every op takes the clients of a group at once. Arrays live in the device's memory; `Group`,
/// `Range`, counts and results named "host" live in the host's. Images are channels-last:
/// [sample][row][column][channel]; matrices are row-major. A null `Values` among the outputs of a
/// backward op means "not wanted". A device that lacks an op throws std::logic_error("... not
/// built"); none falls back in silence.
class Ops {
 public:
  virtual ~Ops() = default;
  Ops() = default;
  Ops(const Ops&) = delete;
  Ops& operator=(const Ops&) = delete;

  /// The device in words, for the log and the manifest: "cpu (AVX-512)".
  virtual std::string device() const = 0;

  /// For profilers: what is asked for from now on belongs to this phase.
  virtual void enter_phase(std::string_view name) = 0;

  // Memory

  /// Zeroed device memory, aligned to 64 bytes; freed by the deleter.
  virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void zero(void* device, std::size_t bytes) = 0;
  /// Device memory that holds what `host` holds, to be read only; host must outlive it unchanged. A
  /// device that reads the host's memory hands out that.
  virtual std::shared_ptr<const void> place(const void* host, std::size_t bytes) = 0;

  /// Runs `work`: ops of this object on `group` that return nothing to the host and depend on
  /// nothing but `key`, the group and the contents of device memory. A device may record them for a
  /// key that it sees for the first time, and later replay them without calling `work`.
  virtual void replay(std::span<const std::uint64_t> key, const Group& group,
                      const std::function<void()>& work) = 0;

  /// The op set of the same device whose work goes on beside this one's, for copies that it need
  /// not wait for; this one itself where work is done at once. Only after() puts the two in order.
  virtual Ops& beside() = 0;
  /// What is asked for from now on begins when all that `other`, beside() of this one or the one
  /// that this is beside of, was asked for so far is done.
  virtual void after(Ops& other) = 0;

  // Batches

  /// The ops of another batch follow. A device whose work is queued waits until all batches but the
  /// last kBatchesAhead are done, so that the caller's pace (base/pulse.hpp) is the device's.
  virtual void begin_batch() {}
  /// Waits until no more than the last one of them is not done, and gives a sign of life for each.
  virtual void finish_batches() {}
  static constexpr std::size_t kBatchesAhead = 8;

  /// x[i] = (pixels[indices[i]] / 255 - mean) / deviation, y[i] = labels[indices[i]] for the
  /// samples of each client. Its pixels are placed by placements[i]; null: as they are.
  virtual void gather_batch(const Group& group, const SampleSource& source,
                            Grouped<const std::int32_t> indices,
                            Grouped<const Placement> placements, Values x,
                            Grouped<std::int32_t> y) = 0;

  // Layers: forward and backward

  /// y = conv(x, weight) + bias; weight [out][in][kernel][kernel] as PyTorch stores it. bias may be
  /// null.
  virtual void conv_forward(const Group& group, const ConvShape& shape, ConstValues x,
                            ConstValues weight, ConstValues bias, Values y) = 0;
  /// Writes dx, dweight and dbias from dy.
  virtual void conv_backward(const Group& group, const ConvShape& shape, ConstValues x,
                             ConstValues weight, ConstValues dy, Values dx, Values dweight,
                             Values dbias) = 0;

  /// y = x weight^T + bias; weight [out][in] as PyTorch stores it.
  virtual void linear_forward(const Group& group, const LinearShape& shape, ConstValues x,
                              ConstValues weight, ConstValues bias, Values y) = 0;
  /// Writes dx, dweight and dbias from dy.
  virtual void linear_backward(const Group& group, const LinearShape& shape, ConstValues x,
                               ConstValues weight, ConstValues dy, Values dx, Values dweight,
                               Values dbias) = 0;

  /// Maximum over windows; `argmax` says which of the window's cells won (row-major, first of
  /// equals).
  virtual void max_pool_forward(const Group& group, const PoolShape& shape, ConstValues x, Values y,
                                Grouped<std::uint8_t> argmax) = 0;
  virtual void max_pool_backward(const Group& group, const PoolShape& shape, ConstValues dy,
                                 Grouped<const std::uint8_t> argmax, Values dx) = 0;

  /// y = mean over all pixels, a value a channel.
  virtual void mean_pool_forward(const Group& group, const ImageShape& shape, ConstValues x,
                                 Values y) = 0;
  virtual void mean_pool_backward(const Group& group, const ImageShape& shape, ConstValues dy,
                                  Values dx) = 0;

  /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, with each channel's mean and biased
  /// variance over the client's batch. Moves the running statistics towards those of the batch, the
  /// variance in its unbiased form (n / (n - 1) times; a single value has none, then the biased
  /// one, 0). `kept`: 2 x channels values for the backward pass. Source: torch.nn.BatchNorm2d in
  /// training.
  virtual void batch_norm_train(const Group& group, const BatchNormShape& shape, ConstValues x,
                                ConstValues weight, ConstValues bias, Values running_mean,
                                Values running_variance, Values y, Values kept) = 0;
  /// The same with the running statistics instead of the batch's: torch.nn.BatchNorm2d in
  /// evaluation.
  virtual void batch_norm_evaluate(const Group& group, const BatchNormShape& shape, ConstValues x,
                                   ConstValues weight, ConstValues bias, ConstValues running_mean,
                                   ConstValues running_variance, Values y) = 0;
  /// Writes dx, dweight and dbias from dy and what batch_norm_train kept.
  virtual void batch_norm_backward(const Group& group, const BatchNormShape& shape, ConstValues x,
                                   ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                                   Values dweight, Values dbias) = 0;

  /// As batch_norm_train, with the mean and biased variance of each sample's groups of channels.
  /// `kept`: 2 x groups values a sample. Source: torch.nn.GroupNorm.
  virtual void group_norm_forward(const Group& group, const GroupNormShape& shape, ConstValues x,
                                  ConstValues weight, ConstValues bias, Values y, Values kept) = 0;
  virtual void group_norm_backward(const Group& group, const GroupNormShape& shape, ConstValues x,
                                   ConstValues weight, ConstValues kept, ConstValues dy, Values dx,
                                   Values dweight, Values dbias) = 0;

  /// y += x, `size` values a sample.
  virtual void add(const Group& group, std::size_t size, ConstValues x, Values y) = 0;

  /// x <- max(x, 0), `size` values a sample.
  virtual void relu_forward(const Group& group, std::size_t size, Values x) = 0;
  /// dy <- dy where y > 0, else 0. y: what relu_forward left.
  virtual void relu_backward(const Group& group, std::size_t size, ConstValues y, Values dy) = 0;

  /// [row][column][channel] -> [channel][row][column], the order in which PyTorch flattens an
  /// image.
  virtual void channels_first(const Group& group, const ImageShape& shape, ConstValues x,
                              Values y) = 0;
  /// The inverse of channels_first.
  virtual void channels_last(const Group& group, const ImageShape& shape, ConstValues x,
                             Values y) = 0;

  /// Softmax cross-entropy. dlogits (if wanted): gradient of the mean loss over the client's
  /// samples. Adds the samples' losses and hits to the sums.
  virtual void cross_entropy(const Group& group, int classes, ConstValues logits,
                             Grouped<const std::int32_t> labels, Values dlogits,
                             const LossSums& sums) = 0;

  // Features by class: what the last layer reads, `size` values a sample

  /// Adds a client's samples to the rows of their classes, sums[class][size + 2]: the features'
  /// sum, the number of samples, the sum of the features' squares.
  virtual void add_class_sums(const Group& group, std::size_t size, ConstValues x,
                              Grouped<const std::int32_t> labels, Grouped<double> sums) = 0;
  /// dx += factor[g] (x - target), factors in host memory, for the samples whose class has a
  /// target. targets[class][size + 1]: the target, and 0 if there is none.
  virtual void pull_to_class(const Group& group, std::size_t size, std::span<const float> factor,
                             ConstValues x, Grouped<const std::int32_t> labels, ConstValues targets,
                             Values dx) = 0;

  // Optimizer. `size` is the padded length of the parameter vector.

  /// scale, a number a client <- min(1, limit / (norm + 1e-6)), of the gradient's norm over the
  /// ranges in double precision. Source: torch.nn.utils.clip_grad_norm_.
  virtual void clip_scale(const Group& group, std::span<const Range> ranges, double limit,
                          ConstValues gradient, Values scale) = 0;
  /// One SGD step. `scale`, a number a client, multiplies the gradient; null for 1. Velocity is
  /// null without momentum; mask is null for Scope::all.
  virtual void sgd_step(const Group& group, std::span<const Range> ranges, const SgdRule& rule,
                        ConstValues scale, Values theta, ConstValues gradient, Values velocity,
                        ConstBits mask) = 0;
  /// One Adam step; scale and mask likewise.
  virtual void adam_step(const Group& group, std::span<const Range> ranges, const AdamRule& rule,
                         std::span<const AdamStep> steps, ConstValues scale, Values theta,
                         ConstValues gradient, Values first, Values second, ConstBits mask) = 0;
  /// out = a x + b y with factors a client (host); `out` may be x or y.
  virtual void combine(const Group& group, std::size_t size, std::span<const float> a,
                       ConstValues x, std::span<const float> b, ConstValues y, Values out) = 0;
  /// host out[g] = sum of x y over the ranges, in double precision.
  virtual void dot(const Group& group, std::span<const Range> ranges, ConstValues x, ConstValues y,
                   std::span<double> out) = 0;
  /// host out[g] = largest |value|; infinite if one is not a number.
  virtual void largest_magnitude(const Group& group, std::size_t size, ConstValues values,
                                 std::span<double> out) = 0;
  /// gradient += lambda (theta - anchor).
  virtual void add_proximal(const Group& group, std::size_t size, float lambda, ConstValues theta,
                            ConstValues anchor, Values gradient) = 0;

  // Selection of personal parameters

  /// out = |theta - reference|, or |theta| without a reference.
  virtual void change_magnitude(const Group& group, std::size_t size, ConstValues theta,
                                ConstValues reference, Values out) = 0;
  /// out = a and not b, word by word. `out` may be one of them.
  virtual void bits_and_not(const Group& group, std::size_t words, ConstBits a, ConstBits b,
                            Bits out) = 0;
  /// out = a or b, word by word. `out` may be one of them.
  virtual void bits_or(const Group& group, std::size_t words, ConstBits a, ConstBits b,
                       Bits out) = 0;
  /// host counts[g * ranges.size() + r] = bits set in range r of client g.
  virtual void count_bits(const Group& group, std::span<const Range> ranges, ConstBits bits,
                          std::span<std::int64_t> counts) = 0;
  /// For each client g and range r: chosen <- the counts[g * ranges.size() + r] eligible indices
  /// with the largest scores (fewer if fewer are eligible), lower index first among equals, or by
  /// `ties`. `skip_zero`: an index whose score is 0 is never taken. Words of `chosen` outside the
  /// ranges are left alone. Scores are >= 0. Throws InputError naming client and range if an
  /// eligible score is not a number.
  virtual void select_top(const Group& group, std::span<const Range> ranges,
                          std::span<const std::int64_t> counts, Ties ties, bool skip_zero,
                          ConstValues score, ConstBits eligible, Bits chosen) = 0;

  // Aggregation and the store

  /// Adds each client's shared values (mask 0; all without a mask) to the sums, weights[g] (host)
  /// times; 0 leaves a client out. Returns -1, or g * size + the index of the first value that is
  /// not below FixedPoint::kMagnitudeLimit.
  virtual std::ptrdiff_t accumulate(const Group& group, std::size_t size, const FixedPoint& fixed,
                                    std::span<const std::uint32_t> weights, ConstValues theta,
                                    ConstBits mask, const SumView& sum) = 0;
  /// global <- sum / weight where weight > 0; elsewhere it keeps its value.
  virtual void divide(std::size_t size, const FixedPoint& fixed, const SumView& sum,
                      float* global) = 0;
  /// bits <- 1 where the total weight is 0: nobody shared that index.
  virtual void unshared(std::size_t size, const SumView& sum, Word* bits) = 0;
  /// packed <- the values where the mask is 1, in index order. Returns how many, per client, in
  /// host counts.
  virtual void pack(const Group& group, std::size_t size, ConstValues theta, ConstBits mask,
                    Values packed, std::span<std::size_t> counts) = 0;
  /// theta <- packed values where the mask is 1; elsewhere it keeps its value.
  virtual void unpack(const Group& group, std::size_t size, ConstValues packed, ConstBits mask,
                      Values theta) = 0;
};

/// What this processor can do: a level of cpu vector instructions, larger = more. A job takes the
/// lowest level of its ranks, so that all compute the same bits.
int cpu_level();

/// The CPU's op set: one thread, the vectors of that level.
std::unique_ptr<Ops> make_cpu_ops(int level = cpu_level());

}  // namespace fedselect::ops
