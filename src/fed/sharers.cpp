#include "fed/sharers.hpp"

#include "base/hash.hpp"

namespace fedselect {

void Sharers::reset() {
  mine_ = {};
  mask_ = nullptr;
  mask_fingerprint_ = 0;
  is_empty_ = is_one_mask_ = true;
}

void Sharers::add(const MaskPtr& mask, std::uint32_t weight) {
  if (mask != mask_) {
    const std::int64_t before = mask_fingerprint_;
    mask_ = mask;
    mask_fingerprint_ = 0;
    if (mask) {
      Hash hash;
      hash.add(mask->words());
      mask_fingerprint_ = static_cast<std::int64_t>(hash.value() >> 1);
    }
    is_one_mask_ = is_one_mask_ && (is_empty_ || mask_fingerprint_ == before);
  }
  is_empty_ = false;
  Hash hash;
  hash.add_value(mask_fingerprint_);
  hash.add_value(weight);
  mine_.weight += weight;
  mine_.fingerprint[0] += static_cast<std::int64_t>(hash.value() & 0xffffffffU);
  mine_.fingerprint[1] += static_cast<std::int64_t>(hash.value() >> 32);
}

Sharers::Source Sharers::agree(Communicator& comm) {
  std::array<std::int64_t, 4> total{mine_.unknown, mine_.weight, mine_.fingerprint[0],
                                    mine_.fingerprint[1]};
  comm.all_reduce_sum(std::span<std::int64_t>(total));
  const Summary now{total[0], total[1], {total[2], total[3]}};
  if (now.unknown == 0 && last_ == now) return Source::last;
  last_ = now;
  if (now.unknown != 0) return Source::sent;
  // A rank without clients knows no mask but that of nothing.
  const auto lowest = comm.all_reduce_min(is_one_mask_ ? mask_fingerprint_ : -1);
  const auto highest = -comm.all_reduce_min(-mask_fingerprint_);
  return lowest == highest ? Source::mask : Source::sent;
}

}  // namespace fedselect
