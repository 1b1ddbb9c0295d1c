#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "comm/device_sum.hpp"
#include "fed/client_group.hpp"
#include "fed/run_state.hpp"
#include "fed/sharers.hpp"
#include "ops/device_array.hpp"

namespace fedselect {

/// The fixed-point scale for a cohort of this total weight: the finest for which no sum can
/// overflow, in one word where that leaves a resolution of 2^-30 or better, else in two. Throws
/// InputError if the weight reaches 2^32.
ops::FixedPoint fixed_point_for(std::uint64_t total_weight);

/// Throws SystemError: what value number `index` of its vector is too large for the fixed point.
[[noreturn]] void refuse_value(const ParameterLayout& layout, int client, std::size_t index);

/// The exact sum of one vector that clients share: per index, an integer sum and the total weight
/// of its sharers.
///
/// Addition of integers is associative, so the result does not depend on the order of clients or
/// the number of ranks. Costs 12 bytes a parameter, 20 with two-word sums, and 4 more where several
/// ranks keep the weights for the next round. As many are sent, but for the 4 of the weights where
/// all ranks know them already (Sharers).
class SharedSum {
 public:
  /// For the first `size` values of parameter vectors, padding included.
  SharedSum(ops::Ops& ops, const ParameterLayout& layout, std::size_t size);

  /// Empties the sum for a cohort of this total weight.
  void reset(std::uint64_t total_weight);
  /// Adds those of the clients' values whose mask is 0 (all without a mask), weights[g] times each;
  /// 0 leaves a client out. Throws SystemError naming client and tensor if a value is too large for
  /// the fixed point (4096).
  void add(const ClientGroup& clients, std::span<const std::uint32_t> weights,
           ops::ConstValues values, ops::ConstBits mask);
  /// Adds one client of weight 1 that shares these values, host memory, but for those that are NaN.
  void put(std::span<const float> values);
  /// Collective: the sum over all ranks. `comm`: those of `sums`.
  void all_reduce(DeviceSum& sums, Communicator& comm);
  /// The sum as it stands; and back, into an empty sum for a cohort of the same weight.
  SumState state() const;
  void restore(const SumState& state);
  /// global <- the mean at each index that somebody shared; elsewhere it keeps its value.
  void mean(ParameterVector& global) const;
  /// bits <- 1 where nobody shared.
  void unshared(Word* bits) const { ops_.unshared(size_, view(), bits); }

 private:
  ops::SumView view() const;
  /// weight_ <- the weight of all clients where their mask is 0.
  void fill_weight();

  ops::Ops& ops_;
  const ParameterLayout& layout_;
  std::size_t size_;
  ops::FixedPoint fixed_;
  ops::DeviceArray<std::int64_t> low_;
  ops::DeviceArray<std::int64_t> high_;  ///< allocated when first needed
  ops::DeviceArray<std::uint32_t> weight_;
  Sharers sharers_;
  ops::DeviceArray<std::uint32_t> last_weight_;  ///< over all ranks, of the last agreement
  bool is_total_ = false;                        ///< weight_ is over all ranks
};

}  // namespace fedselect
