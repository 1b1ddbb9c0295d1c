#include "fed/lending.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

namespace fedselect {

namespace {

constexpr double kTolerance = 0.05;

/// What each rank has to do, and whom it would train.
class Loads {
 public:
  Loads(std::span<const int> clients, std::span<const double> work, std::span<const int> host_of,
        int ranks)
      : work_(work), of_(static_cast<std::size_t>(ranks)), on_(static_cast<std::size_t>(ranks)) {
    for (const int client : clients) add(client, host_of[static_cast<std::size_t>(client)]);
  }
  double mean() const {
    return std::accumulate(of_.begin(), of_.end(), 0.0) / static_cast<double>(of_.size());
  }
  int busiest() const { return position(std::max_element(of_.begin(), of_.end())); }
  int idlest() const { return position(std::min_element(of_.begin(), of_.end())); }
  double of(int rank) const { return of_[static_cast<std::size_t>(rank)]; }
  const std::vector<int>& on(int rank) const { return on_[static_cast<std::size_t>(rank)]; }
  void move(int client, int from, int to) {
    std::erase(on_[static_cast<std::size_t>(from)], client);
    of_[static_cast<std::size_t>(from)] -= work_[static_cast<std::size_t>(client)];
    add(client, to);
  }

 private:
  void add(int client, int rank) {
    on_[static_cast<std::size_t>(rank)].push_back(client);
    of_[static_cast<std::size_t>(rank)] += work_[static_cast<std::size_t>(client)];
  }
  int position(std::vector<double>::const_iterator at) const {
    return static_cast<int>(at - of_.begin());
  }
  std::span<const double> work_;
  std::vector<double> of_;
  std::vector<std::vector<int>> on_;
};

/// What a move of `amount` leaves to the busier one of two ranks whose loads differ by `gap`,
/// beyond the idler one's load.
double left_by(double amount, double gap) { return std::max(amount, gap - amount); }

}  // namespace

std::vector<Loan> choose_loans(std::span<const int> clients, std::span<const double> work,
                               std::span<const int> host_of, int ranks) {
  Loads loads(clients, work, host_of, ranks);
  const double enough = (1 + kTolerance) * loads.mean();
  std::vector<int> rank_of(host_of.begin(), host_of.end());
  const auto work_of = [&](int client) { return work[static_cast<std::size_t>(client)]; };
  for (int from = loads.busiest(); loads.of(from) > enough; from = loads.busiest()) {
    const int to = loads.idlest();
    const double gap = loads.of(from) - loads.of(to);
    const auto& candidates = loads.on(from);
    const auto best = std::min_element(candidates.begin(), candidates.end(), [&](int a, int b) {
      return left_by(work_of(a), gap) < left_by(work_of(b), gap);
    });
    if (work_of(*best) >= gap) break;  // the busiest rank has one long client: nothing helps
    rank_of[static_cast<std::size_t>(*best)] = to;
    loads.move(*best, from, to);
  }
  std::vector<Loan> loans;
  for (const int client : clients) {
    const int host = host_of[static_cast<std::size_t>(client)];
    const int guest = rank_of[static_cast<std::size_t>(client)];
    if (guest != host) loans.push_back({client, host, guest});
  }
  return loans;
}

std::vector<Parcel> deliver(Communicator& comm, const std::vector<std::vector<Parcel>>& to) {
  struct Label {
    std::int64_t client;
    std::uint64_t size;
  };
  std::vector<std::vector<std::byte>> outgoing(to.size());
  for (std::size_t rank = 0; rank < to.size(); ++rank)
    for (const Parcel& parcel : to[rank]) {
      const Label label{parcel.client, parcel.bytes.size()};
      const auto head = std::as_bytes(std::span(&label, 1));
      outgoing[rank].insert(outgoing[rank].end(), head.begin(), head.end());
      outgoing[rank].insert(outgoing[rank].end(), parcel.bytes.begin(), parcel.bytes.end());
    }
  std::vector<Parcel> arrived;
  for (const auto& bytes : comm.exchange(outgoing))
    for (std::span<const std::byte> left(bytes); !left.empty();) {
      Label label{};
      std::memcpy(&label, left.data(), sizeof(label));
      const auto own = left.subspan(sizeof(label), label.size);
      arrived.push_back({static_cast<int>(label.client), {own.begin(), own.end()}});
      left = left.subspan(sizeof(label) + label.size);
    }
  return arrived;
}

}  // namespace fedselect
