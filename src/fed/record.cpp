#include "fed/record.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace fedselect {

namespace {

template <class T>
std::vector<T> gather_values(Communicator& comm, const std::vector<T>& mine) {
  std::vector<T> all;
  for (const auto& bytes : comm.gather(bytes_of(mine))) {
    const std::size_t before = all.size();
    all.resize(before + bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(all.data() + before, bytes.data(), bytes.size());
  }
  return all;
}

/// Values behind their number.
template <class T>
void append(std::vector<std::byte>& bytes, const std::vector<T>& values) {
  const std::uint64_t count = values.size();
  for (const auto part : {std::as_bytes(std::span(&count, 1)), std::as_bytes(std::span(values))})
    bytes.insert(bytes.end(), part.begin(), part.end());
}
/// Such values go from the front of `left` to the end of `values`.
template <class T>
void take(std::span<const std::byte>& left, std::vector<T>& values) {
  std::uint64_t count = 0;
  std::memcpy(&count, left.data(), sizeof(count));
  const auto own = left.subspan(sizeof(count), count * sizeof(T));
  const std::size_t before = values.size();
  values.resize(before + count);
  if (count > 0) std::memcpy(static_cast<void*>(values.data() + before), own.data(), own.size());
  left = left.subspan(sizeof(count) + own.size());
}

}  // namespace

BusySeconds busy_seconds(std::span<const RankRecord> ranks) {
  BusySeconds busy;
  for (const RankRecord& rank : ranks) {
    const double seconds = std::accumulate(rank.seconds.begin(), rank.seconds.end(), 0.0) -
                           rank.seconds[static_cast<std::size_t>(Phase::communicate)];
    busy.most = std::max(busy.most, seconds);
    busy.mean += seconds / static_cast<double>(ranks.size());
  }
  return busy;
}

double RoundRecord::personal_share(std::size_t i, const ParameterLayout& layout) const {
  const auto& tensors = layout.tensors();
  double personal = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t)
    personal += static_cast<double>(density[i * tensors.size() + t]) *
                static_cast<double>(tensors[t].size());
  return personal / static_cast<double>(layout.size());
}

RoundRecord gather_round(Communicator& comm, const RoundRecord& mine) {
  // One message a rank: the root's time is that of so many messages.
  std::vector<std::byte> bytes;
  append(bytes, mine.clients);
  append(bytes, mine.density);
  append(bytes, mine.ranks);
  RoundRecord all{
      .round = mine.round, .evaluated = mine.evaluated, .clients = {}, .density = {}, .ranks = {}};
  std::vector<ClientRecord> clients;
  std::vector<float> density;
  for (const auto& arrived : comm.gather(bytes)) {
    std::span<const std::byte> left(arrived);
    take(left, clients);
    take(left, density);
    take(left, all.ranks);
  }
  if (clients.empty()) return all;
  const std::size_t tensors = density.size() / clients.size();
  std::vector<std::size_t> order(clients.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return clients[a].client < clients[b].client; });
  all.density.reserve(density.size());
  for (const std::size_t i : order) {
    all.clients.push_back(clients[i]);
    const auto row = density.begin() + static_cast<std::ptrdiff_t>(i * tensors);
    all.density.insert(all.density.end(), row, row + static_cast<std::ptrdiff_t>(tensors));
  }
  return all;
}

std::vector<NewClientRecord> gather_new_clients(Communicator& comm,
                                                const std::vector<NewClientRecord>& mine) {
  auto all = gather_values(comm, mine);
  std::sort(all.begin(), all.end(),
            [](const NewClientRecord& a, const NewClientRecord& b) { return a.client < b.client; });
  return all;
}

}  // namespace fedselect
