#include "fed/shared_sum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

ops::FixedPoint fixed_point_for(std::uint64_t total_weight) {
  constexpr int kLeastFraction = 30;
  constexpr int kSumBits = 62;
  constexpr int kMostFraction = 40;
  if (total_weight >> 32 != 0)
    throw InputError(
        fmt::format("the cohort's total weight is {} (2^32 - 1 at most): lower "
                    "federation.participation or set weighting = \"uniform\"",
                    total_weight));
  const auto weight_bits = static_cast<int>(std::bit_width(total_weight));
  const int fraction = kSumBits - ops::FixedPoint::kMagnitudeBits - weight_bits;
  if (fraction >= kLeastFraction) return {std::min(fraction, kMostFraction), false};
  return {kMostFraction, true};
}

void refuse_value(const ParameterLayout& layout, int client, std::size_t index) {
  std::string where = "a tensor";
  for (const auto* tensors : {&layout.tensors(), &layout.statistics()})
    for (const Tensor& tensor : *tensors)
      if (index >= tensor.range.begin && index < tensor.range.begin + tensor.size())
        where = tensor.name;
  throw SystemError(
      fmt::format("client {}: a value of {} reached {:g} in magnitude, more than exact aggregation "
                  "holds: lower train.lr, or set train.grad_clip",
                  client, where, ops::FixedPoint::kMagnitudeLimit));
}

SharedSum::SharedSum(ops::Ops& ops, const ParameterLayout& layout, std::size_t size)
    : ops_(ops), layout_(layout), size_(size), low_(ops, 1, size), weight_(ops, 1, size) {}

void SharedSum::reset(std::uint64_t total_weight) {
  fixed_ = fixed_point_for(total_weight);
  sharers_.reset();
  if (std::exchange(is_total_, false)) std::swap(weight_, last_weight_);
  if (fixed_.two_words && high_.empty()) high_ = {ops_, 1, size_};
  ops_.zero(low_.of(0), low_.count() * sizeof(std::int64_t));
  if (fixed_.two_words) ops_.zero(high_.of(0), high_.count() * sizeof(std::int64_t));
  ops_.zero(weight_.of(0), weight_.count() * sizeof(std::uint32_t));
}

ops::SumView SharedSum::view() const {
  return {low_.of(0), fixed_.two_words ? high_.of(0) : nullptr, weight_.of(0)};
}

void SharedSum::add(const ClientGroup& clients, std::span<const std::uint32_t> weights,
                    ops::ConstValues values, ops::ConstBits mask) {
  const std::ptrdiff_t bad =
      ops_.accumulate(clients.active(), size_, fixed_, weights, values, mask, view());
  if (bad < 0) {
    for (int g = 0; g < clients.size(); ++g)
      if (const auto weight = weights[static_cast<std::size_t>(g)]; weight > 0)
        sharers_.add(mask[g] == nullptr ? nullptr : clients.resting_mask(g), weight);
    return;
  }
  const auto index = static_cast<std::size_t>(bad) % size_;
  const int client = clients.clients()[static_cast<std::size_t>(bad) / size_];
  refuse_value(layout_, client, index);
}

void SharedSum::put(std::span<const float> values) {
  constexpr int kOne[] = {1};
  constexpr std::uint32_t kWeight[] = {1};
  std::vector<float> shared(values.begin(), values.end());
  std::vector<Word> absent(words_for(size_));
  for (std::size_t i = 0; i < shared.size(); ++i)
    if (std::isnan(shared[i])) {
      set_bit(absent.data(), i);
      shared[i] = 0;
    }
  ops::DeviceArray<float> array(ops_, 1, size_);
  ops::DeviceArray<Word> mask(ops_, 1, absent.size());
  array.upload(ops_, 0, std::span<const float>(shared));
  mask.upload(ops_, 0, std::span<const Word>(absent));
  const auto bad =
      ops_.accumulate(ops::Group{kOne}, size_, fixed_, kWeight, array.view(), mask.view(), view());
  expect(bad < 0, "a merged value lies between values that were accepted");
  sharers_.add_unknown();
}

void SharedSum::all_reduce(DeviceSum& sums, Communicator& comm) {
  if (comm.size() == 1) return;
  sums.all_reduce(std::span(low_.of(0), low_.count()));
  if (fixed_.two_words) sums.all_reduce(std::span(high_.of(0), high_.count()));
  if (last_weight_.empty()) last_weight_ = {ops_, 1, size_};
  switch (sharers_.agree(comm)) {
    case Sharers::Source::last: std::swap(weight_, last_weight_); break;
    case Sharers::Source::mask: fill_weight(); break;
    case Sharers::Source::sent: sums.all_reduce(std::span(weight_.of(0), weight_.count()));
  }
  is_total_ = true;
}

void SharedSum::fill_weight() {
  std::vector<std::uint32_t> weights(size_, sharers_.weight());
  if (const MaskPtr& mask = sharers_.mask())
    for (std::size_t i = 0; i < size_; ++i)
      if (test_bit(mask->words().data(), i)) weights[i] = 0;
  weight_.upload(ops_, 0, std::span<const std::uint32_t>(weights));
}

SumState SharedSum::state() const {
  SumState state{.low = std::vector<std::int64_t>(size_),
                 .high = std::vector<std::int64_t>(fixed_.two_words ? size_ : 0),
                 .weight = std::vector<std::uint32_t>(size_)};
  low_.download(ops_, 0, std::span(state.low));
  if (fixed_.two_words) high_.download(ops_, 0, std::span(state.high));
  weight_.download(ops_, 0, std::span(state.weight));
  return state;
}

void SharedSum::restore(const SumState& state) {
  expect(state.low.size() == size_ && state.high.empty() == !fixed_.two_words,
         "a sum of the same cohort");
  low_.upload(ops_, 0, std::span<const std::int64_t>(state.low));
  if (fixed_.two_words) high_.upload(ops_, 0, std::span<const std::int64_t>(state.high));
  weight_.upload(ops_, 0, std::span<const std::uint32_t>(state.weight));
  sharers_.add_unknown();
}

void SharedSum::mean(ParameterVector& global) const {
  ops_.divide(size_, fixed_, view(), global.of(0));
}

}  // namespace fedselect
