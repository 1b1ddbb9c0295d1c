#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "comm/communicator.hpp"
#include "fed/mask.hpp"

namespace fedselect {

/// Who shares in a sum, with which mask and weight: what ranks compare, so that they send the
/// weights of all indices only where they can't know them. Masks are compared by fingerprints of 63
/// bits.
class Sharers {
 public:
  /// How a rank comes to the total weight of each index.
  enum class Source {
    last,  ///< it is that of the last agreement: masks and weights are the same
    mask,  ///< mask() of all clients, and weight()
    sent,  ///< by the sum over ranks
  };

  /// Nobody shares. The last agreement is kept.
  void reset();
  /// A client of this rank; `mask` null: nothing is personal.
  void add(const MaskPtr& mask, std::uint32_t weight);
  /// The sum holds more than was told here.
  void add_unknown() { mine_.unknown = 1; }
  /// Collective: the same on all ranks.
  Source agree(Communicator& comm);

  /// After an agreement on `mask`: that of every client; null: nothing is personal.
  const MaskPtr& mask() const { return mask_; }
  /// After an agreement: the total weight of all clients.
  std::uint32_t weight() const { return static_cast<std::uint32_t>(last_->weight); }

 private:
  struct Summary {
    std::int64_t unknown = 0;
    std::int64_t weight = 0;
    std::array<std::int64_t, 2> fingerprint{};  ///< of masks and weights: halves, added up
    bool operator==(const Summary&) const = default;
  };

  Summary mine_;                       ///< of the clients of this rank
  std::optional<Summary> last_;        ///< of all ranks at the last agreement
  MaskPtr mask_;                       ///< of the last client
  std::int64_t mask_fingerprint_ = 0;  ///< of mask_
  bool is_empty_ = true;               ///< no client yet
  bool is_one_mask_ = true;            ///< all clients of this rank have mask_
};

}  // namespace fedselect
