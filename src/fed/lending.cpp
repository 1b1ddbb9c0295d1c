#include "fed/lending.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace fedselect {

namespace {

constexpr double kTolerance = 0.05;
constexpr double kLeastGain = 1e-3;  ///< of the busiest rank's seconds: less is noise, or rounding
constexpr int kNobody = -1;

/// A client goes from one rank to another, and perhaps one comes back.
struct Step {
  int there = kNobody;
  int back = kNobody;
  double seconds = std::numeric_limits<double>::infinity();  ///< until both ranks are done then

  int loans() const { return back == kNobody ? 1 : 2; }
};

/// What each rank has to do, in seconds, and whom it would train. Ranks of equal pace, nearly all
/// after settle(), stand in order, so that a move costs no look at every rank.
class Loads {
 public:
  Loads(std::span<const int> clients, std::span<const double> work, std::span<const int> host_of,
        std::span<const Pace> paces)
      : work_(work), paces_(paces), of_(paces.size()), on_(paces.size()) {
    for (const int client : clients) {
      const int rank = host_of[static_cast<std::size_t>(client)];
      on_[static_cast<std::size_t>(rank)].push_back(client);
      of_[static_cast<std::size_t>(rank)] += seconds(client, rank);
    }
    for (int rank = 0; rank < static_cast<int>(of_.size()); ++rank)
      by_pace_[pace(rank)].emplace(of(rank), rank);
  }
  /// Seconds of every rank if the work were divided without remainder.
  double even() const {
    double work = 0;
    double speed = 0;
    for (std::size_t rank = 0; rank < of_.size(); ++rank) {
      work += of_[rank] / paces_[rank].training;
      speed += 1 / paces_[rank].training;
    }
    return work / speed;
  }
  int busiest() const {
    Load most{-1, 0};
    for (const auto& [pace, loads] : by_pace_) most = std::max(most, *loads.rbegin());
    return most.second;
  }
  /// The rank that would be done first with one more client like those of `from`, on average.
  int soonest(int from) const {
    double mean = 0;
    for (const int client : on(from)) mean += work(client);
    mean /= static_cast<double>(on(from).size());
    Load first{std::numeric_limits<double>::infinity(), 0};
    for (const auto& [pace, loads] : by_pace_) {
      const auto [seconds, rank] = *loads.begin();
      first = std::min(first, {seconds + mean * pace, rank});
    }
    return first.second;
  }
  double of(int rank) const { return of_[static_cast<std::size_t>(rank)]; }
  const std::vector<int>& on(int rank) const { return on_[static_cast<std::size_t>(rank)]; }
  Step best_move(int from, int to) const {
    Step best;
    for (const int there : on(from)) take_better(best, {there}, from, to);
    return best;
  }
  Step best_exchange(int from, int to) const {
    std::vector<int> comers = on(to);
    std::sort(comers.begin(), comers.end(),
              [&](int a, int b) { return std::pair(work(a), a) < std::pair(work(b), b); });
    // Both ranks are done at once if so much more work goes than comes.
    const double surplus = (of(from) - of(to)) / (pace(from) + pace(to));
    Step best;
    for (const int there : on(from)) {
      const auto next =
          std::lower_bound(comers.begin(), comers.end(), work(there) - surplus,
                           [&](int client, double least) { return work(client) < least; });
      if (next != comers.end()) take_better(best, {there, *next}, from, to);
      if (next != comers.begin()) take_better(best, {there, *std::prev(next)}, from, to);
    }
    return best;
  }
  void move(int client, int from, int to) {
    std::erase(on_[static_cast<std::size_t>(from)], client);
    on_[static_cast<std::size_t>(to)].push_back(client);
    add(from, -seconds(client, from));
    add(to, seconds(client, to));
  }

 private:
  using Load = std::pair<double, int>;  ///< seconds, rank

  double pace(int rank) const { return paces_[static_cast<std::size_t>(rank)].training; }
  double work(int client) const { return work_[static_cast<std::size_t>(client)]; }
  double seconds(int client, int rank) const { return work(client) * pace(rank); }
  void take_better(Step& best, Step step, int from, int to) const {
    const auto leaves = [&](int rank, int goes, int comes) {
      return of(rank) - (goes == kNobody ? 0 : seconds(goes, rank)) +
             (comes == kNobody ? 0 : seconds(comes, rank));
    };
    step.seconds = std::max(leaves(from, step.there, step.back), leaves(to, step.back, step.there));
    if (step.seconds < best.seconds) best = step;
  }
  void add(int rank, double seconds) {
    auto& loads = by_pace_[pace(rank)];
    loads.erase({of(rank), rank});
    of_[static_cast<std::size_t>(rank)] += seconds;
    loads.emplace(of(rank), rank);
  }

  std::span<const double> work_;
  std::span<const Pace> paces_;
  std::vector<double> of_;
  std::vector<std::vector<int>> on_;
  std::map<double, std::set<Load>> by_pace_;
};

}  // namespace

std::vector<Loan> choose_loans(std::span<const int> clients, std::span<const double> work,
                               std::span<const int> host_of, std::span<const Pace> paces) {
  Loads loads(clients, work, host_of, paces);
  const double enough = (1 + kTolerance) * loads.even();
  std::vector<int> rank_of(host_of.begin(), host_of.end());
  for (int from = loads.busiest(); loads.of(from) > enough; from = loads.busiest()) {
    const int to = loads.soonest(from);
    if (to == from) break;
    const auto pays = [&](const Step& step) {
      const double price = step.loans() * paces[static_cast<std::size_t>(from)].loan;
      return loads.of(from) - step.seconds > std::max(price, kLeastGain * loads.of(from));
    };
    Step step = loads.best_move(from, to);
    if (!pays(step)) step = loads.best_exchange(from, to);
    if (!pays(step)) break;  // also: one long client
    loads.move(step.there, from, to);
    rank_of[static_cast<std::size_t>(step.there)] = to;
    if (step.back == kNobody) continue;
    loads.move(step.back, to, from);
    rank_of[static_cast<std::size_t>(step.back)] = from;
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
