#include "fed/client_store.hpp"

namespace fedselect {

ClientStore::ClientStore(std::size_t total_clients, const std::vector<int>& clients)
    : slot_(total_clients, total_clients), states_(clients.size()) {
  for (std::size_t i = 0; i < clients.size(); ++i) slot_[static_cast<std::size_t>(clients[i])] = i;
}

}  // namespace fedselect
