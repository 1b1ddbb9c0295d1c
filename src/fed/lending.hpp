#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "fed/pace.hpp"

namespace fedselect {

/// A client that another rank than its host trains in a round.
struct Loan {
  int client = 0;
  int host = 0;
  int guest = 0;
};

/// Which clients of a round to lend, so that no rank has much longer to do than the others, and few
/// states travel: from the busiest rank to the one that would be done with another client first, in
/// exchange for one of its clients if need be, while loans save more seconds than they take, and a
/// thousandth of the busiest rank's, until the busiest is within 5 % of what would be even.
/// `clients`: to be trained, on all ranks; `work` and `host_of`: of every client of the federation;
/// `paces`: of every rank, settled. The same on every rank.
std::vector<Loan> choose_loans(std::span<const int> clients, std::span<const double> work,
                               std::span<const int> host_of, std::span<const Pace> paces);

/// Bytes that belong to a client.
struct Parcel {
  int client = 0;
  std::vector<std::byte> bytes;
};

/// Collective: to[r] goes to rank r; returns what arrived here.
std::vector<Parcel> deliver(Communicator& comm, const std::vector<std::vector<Parcel>>& to);

}  // namespace fedselect
