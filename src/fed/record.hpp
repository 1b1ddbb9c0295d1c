#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "fed/phase_clock.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// What one client did in one round. Accuracies are in [0, 1]; NaN: not measured.
struct ClientRecord {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  std::int32_t client = 0;
  std::uint8_t participated = 0;  ///< 0: only tested, after the broadcast
  std::uint8_t diverged = 0;
  std::uint8_t dropped = 0;        ///< in the cohort, but nothing of it arrived
  double accuracy = kNone;         ///< of the method's own test
  double accuracy_before = kNone;  ///< of the model with which the client began
  double accuracy_after = kNone;   ///< after local training
  double loss = kNone;             ///< mean over the samples of the local training
  std::int64_t samples = 0;        ///< training samples of the client
  std::int64_t gradients = 0;      ///< sample gradients computed
  std::int64_t bytes_up = 0;
  std::int64_t bytes_down = 0;
  double flops = 0;               ///< nominal floating-point operations of the gradients
  std::int64_t mask_changes = 0;  ///< parameters that became personal, or shared, in the round
  /// With mask changes, the first half of the SHA-256 of the new mask as pack_mask() has it.
  std::array<std::uint8_t, 16> mask_hash{};
};

/// What a client that never took part makes of the global model. NaN: it diverged.
struct NewClientRecord {
  std::int32_t client = 0;
  double accuracy_before = ClientRecord::kNone;  ///< of the global model
  double accuracy_after = ClientRecord::kNone;   ///< after passes of its own
};

/// Where one rank's time went in one round.
struct RankRecord {
  PhaseSeconds seconds{};
  double gradient_rate = 0;  ///< sample gradients a second of training
};

/// Busy seconds of a round's ranks: all but the phase "communicate", which is also where they wait.
struct BusySeconds {
  double most = 0;
  double mean = 0;

  /// Of the busiest rank over the mean: 1 = balanced.
  double imbalance() const { return mean > 0 ? most / mean : 1; }
};
BusySeconds busy_seconds(std::span<const RankRecord> ranks);

/// One round: on the root after gather_round(), of all clients and ranks; before, of one rank.
struct RoundRecord {
  int round = 0;
  bool evaluated = false;
  std::vector<ClientRecord> clients;  ///< after gather_round() ascending by client
  std::vector<float> density;  ///< personal fraction after the round, [client record][tensor]
  std::vector<RankRecord> ranks;

  /// Personal fraction of all parameters of record number i.
  double personal_share(std::size_t i, const ParameterLayout& layout) const;
};

/// Collective: the records of all ranks, merged on the root; empty elsewhere.
RoundRecord gather_round(Communicator& comm, const RoundRecord& mine);
/// The same for new clients, ascending.
std::vector<NewClientRecord> gather_new_clients(Communicator& comm,
                                                const std::vector<NewClientRecord>& mine);

}  // namespace fedselect
