// How the clients of a round come to ranks that have time for them, and home again.

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "fed/simulation.hpp"

namespace fedselect {

/// Collective: whom this rank trains of the clients that the ranks host and that are left to train.
/// The states of those whom another rank trains go there, ...
std::vector<int> Simulation::lend(std::vector<int> hosted, bool is_fresh) {
  const PhaseClock::Scope timed(clock_, Phase::communicate);
  if (comm_.size() == 1) return hosted;
  const auto paces = settle(share_paces(comm_, pace_.pace()));
  loans_ =
      choose_loans(is_fresh ? reporting_ : gather_on_all(comm_, hosted), work_, rank_of_, paces);
  if (loans_.empty()) return hosted;
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::vector<Parcel>> to(static_cast<std::size_t>(comm_.size()));
  for (const Loan& loan : loans_) {
    if (loan.host != comm_.rank()) continue;
    std::erase(hosted, loan.client);
    to[static_cast<std::size_t>(loan.guest)].push_back({loan.client, give(loan.client)});
  }
  for (const Parcel& parcel : deliver(comm_, to)) {
    take(parcel);
    hosted.push_back(parcel.client);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  pace_.lent(loans_.size(), seconds.count());
  trim_store();
  std::sort(hosted.begin(), hosted.end());
  return hosted;
}

/// Collective: ... and come home with what was recorded of them.
void Simulation::bring_home() {
  if (loans_.empty()) return;
  const PhaseClock::Scope timed(clock_, Phase::communicate);
  const auto is_guest = [&](const ClientRecord& record) {
    return rank_of_[static_cast<std::size_t>(record.client)] != comm_.rank();
  };
  std::vector<std::vector<Parcel>> states(static_cast<std::size_t>(comm_.size()));
  auto records = states;
  for (const Loan& loan : loans_)
    if (loan.guest == comm_.rank())
      states[static_cast<std::size_t>(loan.host)].push_back({loan.client, give(loan.client)});
  for (const ClientRecord& record : open_->records) {
    if (!is_guest(record)) continue;
    const auto bytes = std::as_bytes(std::span(&record, 1));
    records[static_cast<std::size_t>(rank_of_[static_cast<std::size_t>(record.client)])].push_back(
        {record.client, {bytes.begin(), bytes.end()}});
  }
  std::erase_if(open_->records, is_guest);
  for (const Parcel& parcel : deliver(comm_, states)) take(parcel);
  for (const Parcel& parcel : deliver(comm_, records))
    std::memcpy(static_cast<void*>(&open_->records.emplace_back()), parcel.bytes.data(),
                sizeof(ClientRecord));
  loans_.clear();
  trim_store();
}

void Simulation::measure_pace(std::span<const int> trained, double seconds) {
  double work = 0;
  for (const int client : trained) work += work_[static_cast<std::size_t>(client)];
  pace_.trained(work, seconds);
}

/// All that this rank knows of a client, for another one.
std::vector<std::byte> Simulation::give(int client) {
  auto bytes = store_.give(client);
  const double& tested = broadcast_accuracy_[static_cast<std::size_t>(client)];
  const auto more = std::as_bytes(std::span(&tested, 1));
  bytes.insert(bytes.end(), more.begin(), more.end());
  return bytes;
}

void Simulation::take(const Parcel& parcel) {
  constexpr std::size_t kTested = sizeof(double);
  const std::span<const std::byte> bytes(parcel.bytes);
  store_.take(parcel.client, bytes.first(bytes.size() - kTested));
  std::memcpy(&broadcast_accuracy_[static_cast<std::size_t>(parcel.client)],
              bytes.last(kTested).data(), kTested);
}

}  // namespace fedselect
