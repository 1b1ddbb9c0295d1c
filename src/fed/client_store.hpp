#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "fed/client_state.hpp"
#include "fed/spill_file.hpp"

namespace fedselect {

/// What a rank gives to its clients' states.
struct StoreLimits {
  /// Bytes of memory; states beyond it wait in a file.
  std::size_t memory = std::numeric_limits<std::size_t>::max();
  std::filesystem::path scratch = {};  ///< folder of that file, of the node; empty: the system's
};

/// The states of the clients that a rank hosts.
///
/// In memory a client costs d/8 bytes of mask if the mask is its own, 4 bytes a personal value, 4 d
/// bytes for each vector that its method keeps, and sizeof(ClientState). States that were not used
/// for longest go to the file, where a sparse mask takes less than d/8 bytes (PackedState).
class ClientStore {
 public:
  /// `clients`: ids of the shard, any order.
  ClientStore(std::size_t total_clients, const std::vector<int>& clients,
              const StoreLimits& limits = {});

  /// Of a limit of memory, what states may take; the rest is for the gaps that the allocator leaves
  /// between blocks of many sizes.
  static std::size_t room_for_states(std::size_t memory);

  /// In memory until trim(): read back if need be. What is changed, the store keeps.
  ClientState& state(int client);
  const ClientState& state(int client) const { return *fetch(client).state; }
  /// Call it wherever no state is referred to: keeps to the limit of memory. Throws SystemError if
  /// the file can't be written; then all states are still there.
  void trim();
  /// Has the states of these clients read ahead.
  void expect_soon(std::span<const int> clients) const;

  /// Gives a client away: its state as bytes, for another store.
  std::vector<std::byte> give(int client);
  /// Takes in a client that another store gave.
  void take(int client, std::span<const std::byte> bytes);

  /// Clients whose states were asked for since the last trim(): those that are in memory whatever
  /// the limit.
  std::size_t touched() const { return touched_.size(); }
  /// Bytes of the states in memory, as of the last trim().
  std::size_t bytes_in_memory() const { return bytes_; }
  /// Bytes of the states in the file.
  std::size_t bytes_in_file() const { return file_bytes_; }

 private:
  struct Slot {
    std::unique_ptr<ClientState> state;  ///< null: in the file, or never used
    SpillFile::Place place;              ///< in the file; size 0: not there
    std::size_t bytes = 0;               ///< of `state`, as of the last trim()
    std::uint64_t last_use = 0;
    bool is_touched = false;  ///< since the last trim()
    bool is_changed = false;  ///< the file does not know it
  };

  static constexpr std::size_t kNoSlot = std::numeric_limits<std::size_t>::max();
  Slot& slot(int client) const { return slots_[slot_of_[static_cast<std::size_t>(client)]]; }
  Slot& fetch(int client) const;
  void remember_common_masks(const ClientState& state);
  void drop_outdated_uses();
  void spill(Slot& slot);
  void forget_place(Slot& slot);

  std::size_t most_bytes_;            ///< of states in memory
  std::vector<std::size_t> slot_of_;  ///< by client
  std::vector<std::size_t> free_;     ///< slots whose clients were given away
  // Reading a state back changes where it is, not what it is.
  mutable std::vector<Slot> slots_;
  mutable SpillFile file_;
  mutable std::vector<std::size_t> touched_;
  std::deque<std::pair<std::size_t, std::uint64_t>> uses_;  ///< slot, time of use; oldest first
  std::uint64_t uses_so_far_ = 0;
  std::size_t bytes_ = 0;
  std::size_t file_bytes_ = 0;
  std::vector<MaskPtr> common_masks_;  ///< that states have
};

}  // namespace fedselect
