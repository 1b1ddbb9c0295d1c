#include "estimate/forecast.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fed/assignment.hpp"

namespace fedselect {

double MethodForecast::seconds() const {
  double sum = finish_seconds;
  for (const ForecastRound& round : rounds) sum += round.seconds;
  return sum;
}

double MethodForecast::flops() const {
  double sum = 0;
  for (const ForecastRound& round : rounds) sum += round.flops;
  return sum;
}

std::int64_t MethodForecast::bytes() const {
  std::int64_t sum = 0;
  for (const ForecastRound& round : rounds) sum += round.bytes_up.sum + round.bytes_down.sum;
  return sum;
}

std::vector<ClientLoad> MethodForecast::loads() const {
  std::vector<ClientLoad> loads;
  for (const ForecastRound& round : rounds) {
    const double share = 1 / static_cast<double>(std::max<std::int64_t>(round.cohort, 1));
    loads.push_back({.bytes_up = share * static_cast<double>(round.bytes_up.sum),
                     .bytes_down = share * static_cast<double>(round.bytes_down.sum),
                     .flops = share * round.flops});
  }
  return loads;
}

RoundClock::RoundClock(const MethodCost& cost, const Network& network, const Partition& partition,
                       const FederationConfig& federation, const Rehearsal& rehearsal,
                       const Ranks& ranks)
    : cost_(cost),
      network_(network),
      partition_(partition),
      taking_part_(federation.taking_part(partition.clients())),
      rehearsal_(rehearsal),
      ranks_(ranks) {
  for (const auto& indices : partition.train) work_.push_back(static_cast<double>(indices.size()));
  rank_of_ = assign_shards(work_, taking_part_, ranks.count);
}

/// Of a turn's work, which is that of the rehearsed client: training goes with the training
/// samples, tests with those to test.
double RoundClock::flops_of_client(const Work& work, std::size_t client) const {
  const double train = work_[client] / static_cast<double>(rehearsal_.train_samples());
  const double test = static_cast<double>(partition_.test[client].size()) /
                      static_cast<double>(rehearsal_.test_samples());
  return train * static_cast<double>(work.backward) * network_.training_flops() +
         test * static_cast<double>(work.forward) * network_.forward_flops();
}

double RoundClock::seconds_of(const Turn& turn, std::size_t client) const {
  const double flops = flops_of(turn.trained, network_);
  const TurnCost& cost =
      cost_of(turn, flops / static_cast<double>(rehearsal_.train_samples()), cost_.turns);
  return cost.own +
         cost.training * flops * work_[client] / static_cast<double>(rehearsal_.train_samples()) +
         cost_.testing * flops_of_client(turn.tested, client);
}

double RoundClock::seconds(const CourseRound& round) const {
  if (round.clients.empty()) return cost_.merging + cost_.writing;
  std::vector<int> rank_of = rank_of_;
  const std::vector<Pace> paces(static_cast<std::size_t>(ranks_.count), {.training = 1, .loan = 0});
  for (const Loan& loan : choose_loans(round.clients, work_, rank_of_, paces))
    rank_of[static_cast<std::size_t>(loan.client)] = loan.guest;
  std::vector<double> training(static_cast<std::size_t>(ranks_.count), 0);
  for (std::size_t i = 0; i < round.clients.size(); ++i) {
    const auto client = static_cast<std::size_t>(round.clients[i]);
    training[static_cast<std::size_t>(rank_of[client])] +=
        seconds_of(round.turns[round.turn_of[i]], client);
  }
  std::vector<double> testing(training.size(), 0);
  const Work& later = round.turns.front().tested_later;
  if (later != Work{})
    for (std::size_t client = 0; client < taking_part_; ++client)
      testing[static_cast<std::size_t>(rank_of_[client])] +=
          cost_.testing * flops_of_client(later, client);
  const double talking = ranks_.count == ranks_.measured ? cost_.talking
                         : ranks_.measured == 1 || ranks_.count == 1
                             ? 0
                             : cost_.talking * std::log(ranks_.count) / std::log(ranks_.measured);
  return *std::max_element(training.begin(), training.end()) +
         *std::max_element(testing.begin(), testing.end()) + cost_.merging + talking +
         cost_.writing;
}

double RoundClock::seconds_of_tests(double flops) const {
  return cost_.testing * flops / ranks_.count;
}

std::size_t node_bytes(const MethodForecast& method, std::size_t shared_bytes, int ranks_on_node) {
  const std::size_t once = shared_bytes + method.root_bytes;
  return once + static_cast<std::size_t>(ranks_on_node) *
                    (method.rank_bytes - std::min(method.rank_bytes, once));
}

}  // namespace fedselect
