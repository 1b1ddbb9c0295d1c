#include "fed/client_store.hpp"

#include <algorithm>
#include <utility>

namespace fedselect {

std::size_t ClientStore::room_for_states(std::size_t memory) {
  constexpr double kStatesShare = 0.8;
  constexpr auto kUnlimited = std::numeric_limits<std::size_t>::max();
  return memory == kUnlimited
             ? memory
             : static_cast<std::size_t>(kStatesShare * static_cast<double>(memory));
}

ClientStore::ClientStore(std::size_t total_clients, const std::vector<int>& clients,
                         const StoreLimits& limits)
    : most_bytes_(room_for_states(limits.memory)),
      slot_of_(total_clients, kNoSlot),
      slots_(clients.size()),
      file_(limits.scratch) {
  for (std::size_t i = 0; i < clients.size(); ++i)
    slot_of_[static_cast<std::size_t>(clients[i])] = i;
}

ClientState& ClientStore::state(int client) {
  Slot& slot = fetch(client);
  slot.is_changed = true;
  return *slot.state;
}

ClientStore::Slot& ClientStore::fetch(int client) const {
  Slot& found = slot(client);
  if (!found.state)
    found.state = std::make_unique<ClientState>(
        found.place.size > 0 ? unpack(file_.read(found.place), common_masks_) : ClientState{});
  if (!std::exchange(found.is_touched, true))
    touched_.push_back(slot_of_[static_cast<std::size_t>(client)]);
  return found;
}

void ClientStore::expect_soon(std::span<const int> clients) const {
  for (const int client : clients)
    if (const Slot& wanted = slot(client); !wanted.state) file_.expect_soon(wanted.place);
}

std::vector<std::byte> ClientStore::give(int client) {
  Slot& given = fetch(client);
  auto bytes = pack_whole(*given.state);
  *given.state = {};  // trim() makes its slot empty
  free_.push_back(std::exchange(slot_of_[static_cast<std::size_t>(client)], kNoSlot));
  return bytes;
}

void ClientStore::take(int client, std::span<const std::byte> bytes) {
  std::size_t& slot = slot_of_[static_cast<std::size_t>(client)];
  if (free_.empty()) {
    slot = slots_.size();
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  forget_place(slots_[slot]);
  state(client) = unpack_whole(bytes, common_masks_);
}

void ClientStore::trim() {
  for (const std::size_t i : touched_) {
    Slot& slot = slots_[i];
    slot.is_touched = false;
    bytes_ -= std::exchange(slot.bytes, 0);
    if (slot.state->is_empty()) {
      slot.state.reset();
      forget_place(slot);
      continue;
    }
    remember_common_masks(*slot.state);
    bytes_ += slot.bytes = slot.state->bytes();
    slot.last_use = ++uses_so_far_;
    uses_.emplace_back(i, slot.last_use);
  }
  touched_.clear();
  drop_outdated_uses();
  while (bytes_ > most_bytes_ && !uses_.empty()) {
    const auto [i, time] = uses_.front();
    if (slots_[i].state && slots_[i].last_use == time) spill(slots_[i]);
    uses_.pop_front();
  }
}

/// So that states from other stores share them.
void ClientStore::remember_common_masks(const ClientState& state) {
  for (const MaskPtr& mask : {state.mask, state.next_mask})
    if (mask && mask->is_common() &&
        std::find(common_masks_.begin(), common_masks_.end(), mask) == common_masks_.end())
      common_masks_.push_back(mask);
}

/// Keeps the list about as long as there are states in memory.
void ClientStore::drop_outdated_uses() {
  constexpr std::size_t kFew = 1024;
  if (uses_.size() < kFew + 2 * slots_.size()) return;
  std::erase_if(uses_, [&](const auto& use) { return slots_[use.first].last_use != use.second; });
}

/// If the file can't be written, the state stays in memory.
void ClientStore::spill(Slot& slot) {
  if (slot.is_changed) {
    const auto place = file_.write(pack(*slot.state, common_masks_), slot.place);
    file_bytes_ = file_bytes_ - slot.place.size + place.size;
    slot.place = place;
    slot.is_changed = false;
  }
  slot.state.reset();
  bytes_ -= std::exchange(slot.bytes, 0);
}

void ClientStore::forget_place(Slot& slot) {
  file_bytes_ -= slot.place.size;
  file_.free(slot.place);
  slot.place = {};
}

}  // namespace fedselect
