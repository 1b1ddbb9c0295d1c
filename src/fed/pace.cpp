#include "fed/pace.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

namespace fedselect {

namespace {

constexpr double kAlike = 0.1;

void smooth(double& value, double now) { value = value == 0 ? now : (value + now) / 2; }

double median_training(const std::vector<Pace>& paces) {
  std::vector<double> measured;
  for (const Pace& pace : paces)
    if (pace.training > 0) measured.push_back(pace.training);
  if (measured.empty()) return 1;
  const auto middle = measured.begin() + static_cast<std::ptrdiff_t>(measured.size() / 2);
  std::nth_element(measured.begin(), middle, measured.end());
  return *middle;
}

}  // namespace

void PaceMeter::trained(double work, double seconds) {
  if (work > 0 && seconds > 0) smooth(pace_.training, seconds / work);
}

void PaceMeter::lent(std::size_t loans, double seconds) {
  if (loans > 0) smooth(pace_.loan, 2 * seconds / static_cast<double>(loans));
}

std::vector<Pace> share_paces(Communicator& comm, const Pace& mine) {
  // The bits of each rank's numbers in its own place, zeros elsewhere: their sum.
  const auto ranks = static_cast<std::size_t>(comm.size());
  const auto rank = static_cast<std::size_t>(comm.rank());
  std::vector<std::int64_t> bits(2 * ranks);
  bits[2 * rank] = std::bit_cast<std::int64_t>(mine.training);
  bits[2 * rank + 1] = std::bit_cast<std::int64_t>(mine.loan);
  comm.all_reduce_sum(std::span(bits));
  std::vector<Pace> paces;
  for (std::size_t r = 0; r < ranks; ++r)
    paces.push_back({std::bit_cast<double>(bits[2 * r]), std::bit_cast<double>(bits[2 * r + 1])});
  return paces;
}

std::vector<Pace> settle(std::vector<Pace> paces) {
  const double median = median_training(paces);
  double loan = 0;
  for (const Pace& pace : paces) loan = std::max(loan, pace.loan);
  for (Pace& pace : paces) {
    if (pace.training == 0 || std::abs(pace.training - median) <= kAlike * median)
      pace.training = median;
    pace.loan = loan;
  }
  return paces;
}

}  // namespace fedselect
