#include "fed/messages.hpp"

#include <algorithm>
#include <numeric>

namespace fedselect {

void Messages::add(int client, std::span<const float> message) {
  clients_.push_back(client);
  values_.insert(values_.end(), message.begin(), message.end());
}

Messages share_messages(Communicator& comm, const Messages& mine) {
  Messages unsorted(mine.size_);
  unsorted.clients_ = gather_on_all(comm, mine.clients_);
  unsorted.values_ = gather_on_all(comm, mine.values_);
  std::vector<std::size_t> order(unsorted.count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return unsorted.client(a) < unsorted.client(b); });
  Messages all(mine.size_);
  for (const std::size_t i : order) all.add(unsorted.client(i), unsorted[i]);
  return all;
}

}  // namespace fedselect
