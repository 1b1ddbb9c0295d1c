#include "data/shares.hpp"

#include <algorithm>
#include <numeric>
#include <queue>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

Shares share_evenly(std::int64_t n, std::size_t takers) {
  const auto count = static_cast<std::int64_t>(takers);
  Shares shares(takers, n / count);
  for (std::size_t k = 0; k < static_cast<std::size_t>(n % count); ++k) ++shares[k];
  return shares;
}

Shares share_by_weight(std::int64_t n, std::span<const double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  expect(total > 0, "a positive weight");
  Shares shares(weights.size());
  double cumulated = 0;  // ends as exactly `total`: the same additions in the same order
  std::int64_t begin = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    cumulated += weights[k];
    const auto end = static_cast<std::int64_t>(cumulated / total * static_cast<double>(n));
    shares[k] = end - begin;
    begin = end;
  }
  return shares;
}

Shares share_by_remainder(std::int64_t n, std::span<const std::int64_t> weights) {
  const auto total = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
  expect(total > 0, "a positive weight");
  Shares shares(weights.size());
  std::vector<std::pair<std::int64_t, std::size_t>> remainders;  // negated, so that sorting fits
  for (std::size_t k = 0; k < weights.size(); ++k) {
    shares[k] = n * weights[k] / total;
    remainders.emplace_back(-(n * weights[k] % total), k);
  }
  const auto left = n - std::accumulate(shares.begin(), shares.end(), std::int64_t{0});
  std::sort(remainders.begin(), remainders.end());
  for (std::size_t i = 0; i < static_cast<std::size_t>(left); ++i) ++shares[remainders[i].second];
  return shares;
}

void leave_nobody_out(Shares& shares) {
  std::priority_queue<std::pair<std::int64_t, std::size_t>> richest;
  for (std::size_t k = 0; k < shares.size(); ++k) richest.emplace(shares[k], k);
  for (auto& share : shares) {
    if (share > 0) continue;
    const auto giver = richest.top().second;
    expect(shares[giver] > 1, "enough for everybody");
    richest.pop();
    richest.emplace(--shares[giver], giver);
    share = 1;
  }
}

std::vector<double> draw_dirichlet_weights(double beta, std::size_t takers, RandomStream stream) {
  std::vector<double> weights(takers);
  for (auto& weight : weights) weight = stream.gamma(beta);
  if (std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 0; }))
    weights[stream.below(takers)] = 1;
  return weights;
}

}  // namespace fedselect
