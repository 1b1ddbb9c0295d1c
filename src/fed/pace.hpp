#pragma once

#include <cstddef>
#include <vector>

#include "comm/communicator.hpp"

namespace fedselect {

/// How fast a rank is, for plans. 0: not measured yet.
struct Pace {
  double training = 0;  ///< seconds a unit of work
  double loan = 0;      ///< seconds that one loan takes, there and home again
};

/// Measures a rank's pace, smoothed over rounds: the last one counts half.
class PaceMeter {
 public:
  void trained(double work, double seconds);
  /// `seconds`: of the journey there.
  void lent(std::size_t loans, double seconds);
  const Pace& pace() const { return pace_; }

 private:
  Pace pace_;
};

/// Collective: the paces of all ranks, in rank order, on every rank.
std::vector<Pace> share_paces(Communicator& comm, const Pace& mine);

/// What plans go by: where nothing was measured, and within 10 % of the median of all, which is
/// what rounds differ by anyway, a rank trains at the median pace (at 1 if there is none); a loan
/// takes as long as on the slowest rank.
std::vector<Pace> settle(std::vector<Pace> paces);

}  // namespace fedselect
