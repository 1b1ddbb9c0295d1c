#include "estimate/calibration.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/statistics.hpp"
#include "estimate/process_memory.hpp"

namespace fedselect {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds of one round, per rank.
struct Sample {
  PhaseSeconds alone{};     ///< while the cohort trains
  PhaseSeconds together{};  ///< from the broadcast's sums on
  double writing = 0;
};

double at(const PhaseSeconds& seconds, Phase phase) {
  return seconds[static_cast<std::size_t>(phase)];
}

/// Over the samples, of what `pick` takes of each. Not the median: a run has slow rounds too.
template <class Pick>
double mean_of(const std::vector<Sample>& samples, const Pick& pick) {
  double sum = 0;
  for (const Sample& sample : samples) sum += pick(sample);
  return sum / static_cast<double>(samples.size());
}

Sample run_round(int round, Simulation& simulation, RunWriter& writer, Communicator& comm) {
  Sample sample;
  PhaseClock& clock = simulation.clock();
  clock.take();
  simulation.train_cohort(round, Simulation::never);
  sample.alone = clock.take();
  const RoundRecord mine = *simulation.complete_round(round, Simulation::never);
  sample.together = mine.ranks.front().seconds;
  RoundRecord all = gather_round(comm, mine);
  all.round = writer.rounds_done();  // of a run's files, which have no gaps
  comm.barrier();
  const auto start = Clock::now();
  writer.add(all, 0);
  sample.writing = seconds_since(start);
  return sample;
}

/// Over the ranks, in place.
void take_mean(std::vector<double>& values, Communicator& comm) {
  const auto all = gather_on_all(comm, values);
  const std::size_t n = values.size();
  std::fill(values.begin(), values.end(), 0.0);
  for (std::size_t i = 0; i < all.size(); ++i)
    values[i % n] += all[i] / static_cast<double>(comm.size());
}

double least_of_ranks(double value, Communicator& comm) {
  const auto all = gather_on_all(comm, std::vector{value});
  return *std::min_element(all.begin(), all.end());
}

std::size_t most_of_ranks(std::size_t value, Communicator& comm) {
  const auto all = gather_on_all(comm, std::vector{value});
  return *std::max_element(all.begin(), all.end());
}

double difference(double a, double b) {
  constexpr double kLeast = 1e-9;
  return std::abs(std::log((a + kLeast) / (b + kLeast)));
}

}  // namespace

double flops_of(const Work& work, const Network& network) {
  return static_cast<double>(work.forward) * network.forward_flops() +
         static_cast<double>(work.backward) * network.training_flops();
}

std::vector<int> first_of_kinds(const std::vector<Turn>& turns, std::size_t most) {
  constexpr double kAlike = 0.01;
  const auto alike = [](const Work& a, const Work& b) {
    return difference(static_cast<double>(a.backward), static_cast<double>(b.backward)) < kAlike &&
           difference(static_cast<double>(a.forward), static_cast<double>(b.forward)) < kAlike;
  };
  const auto is_tested = [](const Turn& turn) {
    return turn.tested.forward + turn.tested_later.forward > 0;
  };
  std::vector<int> rounds;
  for (std::size_t t = 0; t < turns.size() && rounds.size() < most; ++t) {
    const bool is_known = std::any_of(rounds.begin(), rounds.end(), [&](int round) {
      const Turn& other = turns[static_cast<std::size_t>(round)];
      return other.searches() == turns[t].searches() && alike(other.trained, turns[t].trained) &&
             is_tested(other) == is_tested(turns[t]);
    });
    if (!is_known) rounds.push_back(static_cast<int>(t));
  }
  return rounds;
}

const TurnCost& cost_of(const Turn& turn, double flops_per_sample,
                        const std::vector<TurnCost>& costs) {
  const auto unlike = [&](const TurnCost& cost) {
    return difference(cost.flops_per_sample, flops_per_sample) +
           (cost.searches == turn.searches() ? 0.0 : 1.0);
  };
  return *std::min_element(costs.begin(), costs.end(), [&](const TurnCost& a, const TurnCost& b) {
    return unlike(a) < unlike(b);
  });
}

MethodCost calibrate(Simulation& simulation, RunWriter& writer, const std::vector<int>& rounds,
                     const std::vector<Turn>& turns, const Network& network, const Dataset& data,
                     const Partition& partition, double seconds, Communicator& comm) {
  constexpr int kLeast = 2;  // the first one pays for first touches
  constexpr int kMost = 7;
  const double clients = std::max<double>(1, static_cast<double>(simulation.shard().size()));
  const auto samples_each = static_cast<double>(partition.train.front().size());
  MethodCost cost;
  reset_peak();
  std::vector<double> testing;
  std::vector<double> merging;
  std::vector<double> writing;
  std::vector<double> talking;
  for (const int round : rounds) {
    const Turn& turn = turns[static_cast<std::size_t>(round)];
    const double flops = flops_of(turn.trained, network);
    std::vector<Sample> samples;
    const auto start = Clock::now();
    for (int n = 0; n < kMost; ++n) {
      samples.push_back(run_round(round, simulation, writer, comm));
      const bool is_enough = n + 1 >= kLeast && seconds_since(start) >= seconds;
      if (comm.all_reduce_min(is_enough ? 1 : 0) == 1) break;
    }
    samples.erase(samples.begin());
    Work tested = turn.tested;
    tested += turn.tested_later;
    const double test_flops = flops_of(tested, network);
    std::vector<double> mine{
        mean_of(samples, [](const Sample& s) { return at(s.alone, Phase::train); }) / clients,
        mean_of(samples,
                [](const Sample& s) {
                  return at(s.alone, Phase::select) + at(s.alone, Phase::store) +
                         at(s.alone, Phase::aggregate) + at(s.alone, Phase::other) +
                         at(s.together, Phase::select) + at(s.together, Phase::store) +
                         at(s.together, Phase::other);
                }) /
            clients,
        mean_of(samples,
                [](const Sample& s) {
                  return at(s.alone, Phase::evaluate) + at(s.together, Phase::evaluate);
                }) /
            clients,
        mean_of(samples, [](const Sample& s) { return at(s.together, Phase::aggregate); })};
    talking.push_back(least_of_ranks(
        mean_of(samples, [](const Sample& s) { return at(s.together, Phase::communicate); }),
        comm));
    take_mean(mine, comm);
    cost.turns.push_back({.flops_per_sample = flops / samples_each,
                          .searches = turn.searches(),
                          .training = flops > 0 ? mine[0] / flops : 0,
                          .own = mine[1]});
    if (test_flops > 0) testing.push_back(mine[2] / test_flops);
    merging.push_back(mine[3]);
    writing.push_back(mean_of(samples, [](const Sample& s) { return s.writing; }));
  }
  if (!testing.empty()) cost.testing = median(std::move(testing));
  cost.merging = median(std::move(merging));
  cost.talking = median(std::move(talking));
  cost.writing = gather_on_all(comm, std::vector{median(std::move(writing))}).front();
  cost.state_bytes = simulation.store().bytes_in_memory();
  cost.resident_bytes = most_of_ranks(measure_memory().peak, comm);
  comm.barrier();
  const auto start = Clock::now();
  writer.finish(data, partition);
  cost.finishing = gather_on_all(comm, std::vector{seconds_since(start)}).front();
  cost.state_bytes = most_of_ranks(cost.state_bytes, comm);
  return cost;
}

}  // namespace fedselect
