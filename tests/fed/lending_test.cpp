#include "fed/lending.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.hpp"
#include "fed/assignment.hpp"
#include "mpi_main.hpp"

namespace fedselect {
namespace {

using testing::world;

std::vector<double> loads_after(const std::vector<Loan>& loans, const std::vector<int>& clients,
                                const std::vector<double>& work, std::vector<int> rank_of,
                                int ranks) {
  for (const Loan& loan : loans) rank_of[static_cast<std::size_t>(loan.client)] = loan.guest;
  std::vector<double> loads(static_cast<std::size_t>(ranks));
  for (const int client : clients)
    loads[static_cast<std::size_t>(rank_of[static_cast<std::size_t>(client)])] +=
        work[static_cast<std::size_t>(client)];
  return loads;
}

/// Ranks of which nothing was measured.
std::vector<Pace> equal(int ranks) {
  return settle(std::vector<Pace>(static_cast<std::size_t>(ranks)));
}

TEST(Lending, MovesAsFewAsItTakes) {
  // Rank 0 has 8 + 2 + 2, rank 1 nothing of the cohort: the one move of 8 is as good as the two
  // of 2.
  const std::vector<double> work{8, 2, 2, 5};
  const auto loans = choose_loans(std::vector{0, 1, 2}, work, std::vector{0, 0, 0, 1}, equal(2));
  const auto loads = loads_after(loans, {0, 1, 2}, work, {0, 0, 0, 1}, 2);
  EXPECT_EQ(*std::max_element(loads.begin(), loads.end()), 8);
  for (const Loan& loan : loans) EXPECT_EQ(loan.host, 0);
  EXPECT_TRUE(choose_loans(std::vector{0, 3}, work, std::vector{0, 0, 0, 0}, equal(1)).empty());
  EXPECT_TRUE(choose_loans(std::vector{1, 2}, work, std::vector{0, 0, 1, 1}, equal(2))
                  .empty());  // even already
  EXPECT_TRUE(choose_loans(std::vector{0}, work, std::vector{0, 0, 0, 1}, equal(2)).empty());
  EXPECT_TRUE(choose_loans({}, work, std::vector{0, 0, 0, 1}, equal(2)).empty());
}

/// Cohorts of ten clients a rank out of a hundred, sizes log-normal with sigma 1: the busiest rank
/// is within 10 % of the mean, unless one client takes longer than that, but for few rounds (one of
/// 500 at most: lending_bench). Ten clients are expected to be 10 e^(1/2) medians, so a client that
/// takes longer is one of 18.1 medians: one of 532.
TEST(Lending, KeepsRanksEvenAtUnequalSizes) {
  constexpr int kRounds = 20;
  constexpr double kLong = 1 / 532.0;
  for (const int ranks : {2, 3, 4, 8, 16, 64}) {
    const auto n = static_cast<std::size_t>(ranks) * 100;
    int uneven = 0;
    int needlessly = 0;
    for (const std::uint64_t seed : {7, 8, 9, 10, 11}) {
      std::vector<double> work;
      RandomStream random(seed, Purpose::partition, static_cast<std::uint32_t>(ranks), 0, 0);
      for (std::size_t k = 0; k < n; ++k) work.push_back(std::ceil(50 * std::exp(random.normal())));
      const auto host_of = assign_shards(work, ranks);
      for (int t = 0; t < kRounds; ++t) {
        const auto cohort = draw_cohort({.participation = 0.1}, seed, n, t);
        const auto loans = choose_loans(cohort, work, host_of, equal(ranks));
        const auto loads = loads_after(loans, cohort, work, host_of, ranks);
        const double most = *std::max_element(loads.begin(), loads.end());
        const double mean = std::accumulate(loads.begin(), loads.end(), 0.0) / ranks;
        double longest = 0;
        for (const int client : cohort)
          longest = std::max(longest, work[static_cast<std::size_t>(client)]);
        EXPECT_LE(most, std::max(1.2 * mean, longest)) << ranks << " ranks, round " << t;
        EXPECT_LT(loans.size(), cohort.size() / 2);
        if (most > 1.1 * mean) ++uneven;
        if (most > std::max(1.1 * mean, longest)) ++needlessly;
      }
    }
    EXPECT_LE(needlessly, 1) << ranks << " ranks";
    EXPECT_LE(uneven, 5 * kRounds * std::min(1.0, 2 * kLong * 10 * ranks)) << ranks << " ranks";
  }
}

/// Rank 0 has 7 + 6, rank 1 has 4 + 5. No move helps; 6 for 4 makes both 11, at the price of two.
TEST(Lending, ExchangesWhereNoMoveHelps) {
  const std::vector<double> work{7, 6, 4, 5};
  const std::vector<int> clients{0, 1, 2, 3};
  const std::vector<int> hosts{0, 0, 1, 1};
  const auto loans = [&](double seconds) {
    return choose_loans(clients, work, hosts, settle({{1, seconds}, {1, 0}}));
  };
  ASSERT_EQ(loans(0.9).size(), 2);
  EXPECT_EQ(loads_after(loans(0.9), clients, work, hosts, 2), (std::vector{11.0, 11.0}));
  EXPECT_TRUE(loans(1.1).empty());
}

/// What is saved by rounding alone is nothing: with these an exchange and its reverse both seem to
/// gain an ulp, and a plan that took it would never end.
TEST(Lending, RoundingIsNoGain) {
  const auto paces = [](double pace, int ranks) {
    return std::vector<Pace>(static_cast<std::size_t>(ranks), {.training = pace, .loan = 0});
  };
  const auto busiest = [&](const std::vector<double>& work, const std::vector<int>& hosts,
                           const std::vector<Pace>& pace) {
    std::vector<int> clients(work.size());
    std::iota(clients.begin(), clients.end(), 0);
    const auto loans = choose_loans(clients, work, hosts, pace);
    const auto loads = loads_after(loans, clients, work, hosts, static_cast<int>(pace.size()));
    return *std::max_element(loads.begin(), loads.end());
  };
  // 17 on two ranks, 11 on three.
  EXPECT_EQ(busiest({2, 1, 1, 1, 2, 5, 5}, {0, 0, 0, 1, 1, 1, 1}, paces(0.00036033703663733061, 2)),
            9);
  EXPECT_EQ(busiest({1, 3, 2, 1, 2, 2}, {0, 0, 1, 1, 1, 2}, paces(0.00077490245881388484, 3)), 4);
}

TEST(Lending, ASlowRankGetsLess) {
  // Eight clients, four a rank; rank 1 takes three times as long for each: 6 and 2 are even.
  const std::vector<double> work(8, 10.0);
  const std::vector<int> clients{0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<int> hosts{0, 0, 0, 0, 1, 1, 1, 1};
  const auto loans =
      choose_loans(clients, work, hosts, settle({{.training = 0.1}, {.training = 0.3}}));
  ASSERT_EQ(loans.size(), 2);
  for (const Loan& loan : loans) EXPECT_EQ(loan.guest, 0);
}

TEST(Lending, OnlyWhereItPays) {
  // Rank 0 has 4 s to do, rank 1 nothing; each of two moves saves 1 s.
  const std::vector<double> work{1, 1, 1, 1};
  const std::vector<int> clients{0, 1, 2, 3};
  const std::vector<int> hosts{0, 0, 0, 0};
  const auto loans = [&](double seconds) {
    return choose_loans(clients, work, hosts, settle({{1, seconds}, {1, 0}})).size();
  };
  EXPECT_EQ(loans(0), 2);
  EXPECT_EQ(loans(0.9), 2);
  EXPECT_EQ(loans(1.1), 0);
}

/// An idle slow rank must not keep a fast one from helping.
TEST(Lending, GoesToTheRankThatIsDoneFirst) {
  const std::vector<double> work{1, 1, 1, 1, 1, 1};
  const auto loans = choose_loans(std::vector{0, 1, 2, 3, 4, 5}, work,
                                  std::vector{0, 0, 0, 0, 0, 1}, settle({{1, 0}, {1, 0}, {9, 0}}));
  ASSERT_EQ(loans.size(), 2);
  for (const Loan& loan : loans) EXPECT_EQ(loan.guest, 1);
}

TEST(Pace, IsSmoothedAndSettled) {
  PaceMeter meter;
  EXPECT_EQ(meter.pace().training, 0);
  meter.trained(10, 5);
  meter.trained(10, 15);
  meter.trained(0, 3);  // nothing learned
  EXPECT_EQ(meter.pace().training, 1);
  meter.lent(4, 2);
  EXPECT_EQ(meter.pace().loan, 1);
  const auto settled = settle({{1, 0}, {1.05, 0.5}, {0, 0}, {2, 0.1}, {1, 0}});
  std::vector<double> training;
  for (const Pace& pace : settled) {
    training.push_back(pace.training);
    EXPECT_EQ(pace.loan, 0.5);
  }
  EXPECT_EQ(training, (std::vector{1.05, 1.05, 1.05, 2.0, 1.05}));
  EXPECT_EQ(settle({{0, 0}}).front().training, 1);
}

TEST(Pace, IsSharedBitForBit) {
  const auto paces = share_paces(world(), {1.0 / (3 + world().rank()), 0.1 * world().rank()});
  ASSERT_EQ(paces.size(), static_cast<std::size_t>(world().size()));
  for (int rank = 0; rank < world().size(); ++rank) {
    EXPECT_EQ(paces[static_cast<std::size_t>(rank)].training, 1.0 / (3 + rank));
    EXPECT_EQ(paces[static_cast<std::size_t>(rank)].loan, 0.1 * rank);
  }
}

TEST(Lending, ParcelsArriveWhereTheyAreSent) {
  std::vector<std::vector<Parcel>> to(static_cast<std::size_t>(world().size()));
  for (int rank = 0; rank < world().size(); ++rank)
    for (int i = 0; i < rank; ++i)
      to[static_cast<std::size_t>(rank)].push_back(
          {100 * world().rank() + i,
           std::vector<std::byte>(static_cast<std::size_t>(i), std::byte{7})});
  const auto arrived = deliver(world(), to);
  ASSERT_EQ(arrived.size(), static_cast<std::size_t>(world().size() * world().rank()));
  for (std::size_t at = 0; at < arrived.size(); ++at) {
    const auto from = static_cast<int>(at) / world().rank();
    const auto i = static_cast<int>(at) % world().rank();
    EXPECT_EQ(arrived[at].client, 100 * from + i);
    EXPECT_EQ(arrived[at].bytes, std::vector<std::byte>(static_cast<std::size_t>(i), std::byte{7}));
  }
}

}  // namespace
}  // namespace fedselect
