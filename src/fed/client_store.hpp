#pragma once

#include <cstddef>
#include <vector>

#include "fed/mask.hpp"

namespace fedselect {

/// What a client keeps between rounds. A client that never took part keeps nothing.
struct ClientState {
  MaskPtr mask;                 ///< null: nothing is personal
  MaskPtr next_mask;            ///< proposed this round, takes effect after the broadcast
  std::vector<float> personal;  ///< values where the mask is 1, in index order
  std::vector<std::vector<float>>
      vectors;  ///< whole parameter vectors that the method asked for; empty before first use
  std::vector<double> scalars;  ///< numbers that the method asked for; empty before first use
};

/// The states of the clients that a rank hosts.
///
/// At rest a client costs d/8 bytes of mask if the mask is its own, 4 bytes a personal value, 4 d
/// bytes for each vector that its method keeps, and sizeof(ClientState).
class ClientStore {
 public:
  /// `clients`: ids of the shard, any order.
  ClientStore(std::size_t total_clients, const std::vector<int>& clients);

  ClientState& state(int client) { return states_[slot_[static_cast<std::size_t>(client)]]; }
  const ClientState& state(int client) const {
    return states_[slot_[static_cast<std::size_t>(client)]];
  }

 private:
  std::vector<std::size_t> slot_;
  std::vector<ClientState> states_;
};

}  // namespace fedselect
