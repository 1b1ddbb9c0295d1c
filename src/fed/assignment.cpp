#include "fed/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

#include "base/random.hpp"

namespace fedselect {

std::vector<int> draw_cohort(const FederationConfig& config, std::uint64_t seed,
                             std::size_t all_clients, int round, const Absences& absences) {
  const std::size_t clients = config.taking_part(all_clients);
  std::vector<int> ids(clients);
  std::iota(ids.begin(), ids.end(), 0);
  // K N is meant in decimal: 0.3 of 10 clients are 3, though 0.3 * 10 < 3 could round below.
  const double share = config.participation * static_cast<double>(clients);
  const auto leave_out_absent = [&] {
    if (!absences.all.empty())
      std::erase_if(ids, [&](int client) { return absences.covers(client, round); });
  };
  // One cohort for all rounds is drawn from everybody; who is absent leaves it for a while.
  const bool is_fixed = config.sampling == Sampling::fixed;
  if (!is_fixed) leave_out_absent();
  const auto wanted =
      std::clamp(static_cast<std::size_t>(std::floor(share + 1e-9)), std::size_t{1}, clients);
  const std::size_t n = std::min(wanted, ids.size());
  if (n < ids.size()) {
    RandomStream random(seed, Purpose::cohort, 0, static_cast<std::uint32_t>(is_fixed ? 0 : round));
    for (std::size_t i = 0; i < n; ++i) std::swap(ids[i], ids[i + random.below(ids.size() - i)]);
    ids.resize(n);
    std::sort(ids.begin(), ids.end());
  }
  if (is_fixed) leave_out_absent();
  return ids;
}

std::vector<int> assign_shards(std::span<const double> work, int ranks) {
  std::vector<std::size_t> order(work.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return work[a] > work[b]; });
  using Load = std::pair<double, int>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least;
  for (int rank = 0; rank < ranks; ++rank) least.emplace(0, rank);
  std::vector<int> rank_of(work.size());
  for (const std::size_t client : order) {
    auto [load, rank] = least.top();
    least.pop();
    rank_of[client] = rank;
    least.emplace(load + work[client], rank);
  }
  return rank_of;
}

std::vector<int> assign_shards(std::span<const double> work, std::size_t taking_part, int ranks) {
  auto rank_of = assign_shards(work.first(taking_part), ranks);
  const auto others = assign_shards(work.subspan(taking_part), ranks);
  rank_of.insert(rank_of.end(), others.begin(), others.end());
  return rank_of;
}

}  // namespace fedselect
