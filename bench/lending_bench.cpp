// How even lending makes the ranks, and what choosing the loans takes: cohorts of ten clients a
// rank out of a hundred, whose sizes are log-normal. Prints the table of docs/scaling.md.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.hpp"
#include "fed/assignment.hpp"
#include "fed/lending.hpp"

namespace {

using namespace fedselect;

constexpr std::size_t kCohort = 10;  ///< clients a rank
constexpr std::size_t kClients = 10 * kCohort;
constexpr double kLimit = 1.1;  ///< of the busiest rank's work over the mean

std::vector<double> draw_work(int ranks, double sigma) {
  std::vector<double> work;
  RandomStream random(7, Purpose::partition, static_cast<std::uint32_t>(ranks), 0, 0);
  for (std::size_t k = 0; k < static_cast<std::size_t>(ranks) * kClients; ++k)
    work.push_back(50 * std::exp(sigma * random.normal()));
  return work;
}

struct Tally {
  double before = 0, after = 0;  ///< of the busiest rank over the mean, added up
  int over = 0;                  ///< rounds in which that is over the limit
  int avoidable = 0;             ///< of these, where no client is as long
  std::size_t loans = 0;
  double seconds = 1;  ///< the least
};

void play(const std::vector<double>& work, const std::vector<int>& host_of, int ranks, int round,
          Tally& tally) {
  const auto cohort = draw_cohort({.participation = 0.1}, 3, work.size(), round);
  const auto paces = settle(std::vector<Pace>(static_cast<std::size_t>(ranks)));
  const auto begin = std::chrono::steady_clock::now();
  const auto loans = choose_loans(cohort, work, host_of, paces);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  tally.seconds = std::min(tally.seconds, seconds.count());
  tally.loans += loans.size();

  std::vector<double> load(static_cast<std::size_t>(ranks));
  const auto add = [&](int client, int rank, double times) {
    load[static_cast<std::size_t>(rank)] += times * work[static_cast<std::size_t>(client)];
  };
  double longest = 0;
  for (const int client : cohort) {
    add(client, host_of[static_cast<std::size_t>(client)], 1);
    longest = std::max(longest, work[static_cast<std::size_t>(client)]);
  }
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / ranks;
  tally.before += *std::max_element(load.begin(), load.end()) / mean;
  for (const Loan& loan : loans) {
    add(loan.client, loan.host, -1);
    add(loan.client, loan.guest, 1);
  }
  const double after = *std::max_element(load.begin(), load.end()) / mean;
  tally.after += after;
  tally.over += after > kLimit ? 1 : 0;
  tally.avoidable += after > kLimit && longest <= kLimit * mean ? 1 : 0;
}

}  // namespace

int main() {
  fmt::print(
      "| sigma | ranks | busiest : mean, not lent | lent | rounds over 1.1 | though no client is "
      "as "
      "long | lent clients | choosing, ms |\n|---|---|---|---|---|---|---|---|\n");
  for (const double sigma : {1.0, 0.5})
    for (const int ranks : {2, 4, 8, 16, 64, 256, 1024, 4096}) {
      const auto work = draw_work(ranks, sigma);
      const auto host_of = assign_shards(work, ranks);
      Tally tally;
      const int rounds = ranks <= 64 ? 1000 : ranks <= 1024 ? 50 : 10;
      for (int t = 0; t < rounds; ++t) play(work, host_of, ranks, t, tally);
      const auto share = [&](double part) { return 100 * part / rounds; };
      fmt::print("| {} | {} | {:.2f} | {:.2f} | {:.1f} % | {:.1f} % | {:.1f} % | {:.3f} |\n", sigma,
                 ranks, tally.before / rounds, tally.after / rounds, share(tally.over),
                 share(tally.avoidable),
                 share(static_cast<double>(tally.loans) /
                       static_cast<double>(static_cast<std::size_t>(ranks) * kCohort)),
                 1e3 * tally.seconds);
    }
}
