#include "estimate/rehearsal.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "fed/class_features.hpp"

namespace fedselect {

namespace {

Partition::Indices first_of(const Partition::Indices& indices, std::size_t most) {
  return {indices.begin(),
          indices.begin() + static_cast<std::ptrdiff_t>(std::min(most, indices.size()))};
}

SimulationSetup with_plain_mean(SimulationSetup setup) {
  setup.server.merge = Merge::mean;
  setup.server.clip_norm = 0;
  setup.store = {};
  return everyone_present(std::move(setup));
}

/// Masks, sums of features and what clients tell have to be real.
std::size_t largest_real(const Algorithm& algorithm, const Network& network) {
  constexpr std::size_t kSmall = std::size_t{1} << 18;  // so cheap that it doesn't matter
  const Belongings belongings = algorithm.belongings();
  return std::max({kSmall, network.layout().words() * sizeof(Word),
                   static_cast<std::size_t>(network.classes()) *
                       ClassFeatures::row(network.features()) * sizeof(double),
                   (belongings.notice + belongings.reply) * sizeof(float)});
}

constexpr auto kTraining = static_cast<std::size_t>(Phase::train);
constexpr auto kEvaluation = static_cast<std::size_t>(Phase::evaluate);

}  // namespace

Partition copies_of(const Partition& partition, std::size_t client, std::size_t copies,
                    std::size_t most_train, std::size_t most_test) {
  return {.train = std::vector(copies, first_of(partition.train[client], most_train)),
          .test = std::vector(copies, first_of(partition.test[client], most_test))};
}

SimulationSetup everyone_present(SimulationSetup setup) {
  setup.federation = {};
  setup.faults = {};
  setup.absences = {};
  return setup;
}

Rehearsal::Rehearsal(SimulationSetup setup, const Algorithm& algorithm, const Network& network,
                     const Dataset& data, Partition partition)
    : partition_(std::move(partition)),
      ops_(largest_real(algorithm, network)),
      sums_(make_host_sum(*comm_)),
      simulation_(with_plain_mean(std::move(setup)), algorithm, network, data, partition_,
                  {.ops = ops_,
                   .sums = *sums_,
                   .group = static_cast<int>(partition_.clients()),
                   .memory = 0},
                  *comm_) {}

Turn Rehearsal::play(int round, ClientState& state) {
  const auto clients = static_cast<int>(partition_.clients());
  if (round != std::exchange(round_, round)) tested_round_ = simulation_.tested_round();
  simulation_.restore_tested(tested_round_, std::vector<double>(partition_.clients(), 0));
  for (int client = 0; client < clients; ++client)
    simulation_.store().state(client) = ClientState(state);  // not into a longer one's memory
  const PhaseWork before = ops_.work();
  simulation_.train_cohort(round, Simulation::never);
  const PhaseWork trained = ops_.work();
  Turn turn;
  turn.most_bytes = std::as_const(simulation_.store()).state(0).bytes();
  const RoundRecord record = *simulation_.complete_round(round, Simulation::never);
  turn.tested_later = ops_.work()[kEvaluation] - trained[kEvaluation];
  turn.trained = trained[kTraining] - before[kTraining];
  turn.tested = trained[kEvaluation] - before[kEvaluation];
  for (Work* work : {&turn.trained, &turn.tested, &turn.tested_later}) {
    work->forward /= clients;
    work->backward /= clients;
  }
  turn.record = record.clients.front();
  turn.personal_share = record.personal_share(0, simulation_.layout());
  state = std::as_const(simulation_.store()).state(0);
  turn.most_bytes = std::max(turn.most_bytes, state.bytes());
  return turn;
}

std::vector<Turn> Rehearsal::lifetime(int rounds) {
  std::vector<Turn> turns;
  ClientState state;
  for (int t = 0; t < rounds; ++t) turns.push_back(play(t, state));
  return turns;
}

}  // namespace fedselect
