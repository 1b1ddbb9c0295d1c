#include "fed/messages.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace fedselect {

namespace {

/// The ranks' values one after another, in rank order, on every rank.
template <class T>
std::vector<T> share(Communicator& comm, const std::vector<T>& mine) {
  std::vector<std::byte> all;
  for (const auto& bytes : comm.gather(bytes_of(mine)))
    all.insert(all.end(), bytes.begin(), bytes.end());
  comm.broadcast(all, 0);
  std::vector<T> values(all.size() / sizeof(T));
  if (!all.empty()) std::memcpy(values.data(), all.data(), all.size());
  return values;
}

}  // namespace

void Messages::add(int client, std::span<const float> message) {
  clients_.push_back(client);
  values_.insert(values_.end(), message.begin(), message.end());
}

Messages share_messages(Communicator& comm, const Messages& mine) {
  Messages unsorted(mine.size_);
  unsorted.clients_ = share(comm, mine.clients_);
  unsorted.values_ = share(comm, mine.values_);
  std::vector<std::size_t> order(unsorted.count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return unsorted.client(a) < unsorted.client(b); });
  Messages all(mine.size_);
  for (const std::size_t i : order) all.add(unsorted.client(i), unsorted[i]);
  return all;
}

}  // namespace fedselect
