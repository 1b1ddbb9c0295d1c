#include "app/estimator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/failure.hpp"
#include "app/method_setup.hpp"
#include "app/passing_folder.hpp"
#include "app/text.hpp"
#include "base/heap.hpp"
#include "data/fingerprint.hpp"
#include "estimate/process_memory.hpp"
#include "io/manifest.hpp"
#include "io/mask_comparison.hpp"
#include "io/result_file.hpp"
#include "io/run_folder.hpp"
#include "io/run_writer.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// Of the federation's clients that take part, the one whose training samples are nearest to the
/// mean; the first of equals.
std::size_t find_typical(const Experiment& experiment) {
  const auto& train = experiment.partition.train;
  const auto clients = experiment.config.federation.taking_part(train.size());
  double mean = 0;
  for (std::size_t k = 0; k < clients; ++k)
    mean += static_cast<double>(train[k].size()) / static_cast<double>(clients);
  const auto distance = [&](const Partition::Indices& indices) {
    return std::abs(static_cast<double>(indices.size()) - mean);
  };
  const auto end = train.begin() + static_cast<std::ptrdiff_t>(clients);
  return static_cast<std::size_t>(
      std::min_element(train.begin(), end,
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); }) -
      train.begin());
}

std::size_t total(const std::vector<Partition::Indices>& split) {
  std::size_t sum = 0;
  for (const auto& indices : split) sum += indices.size();
  return sum;
}

/// Training samples with which a client is timed: so many batches that its round takes a part of a
/// second, four at most.
std::size_t timed_samples(const Experiment& experiment, const Turn& turn, std::size_t samples) {
  constexpr double kFlops = 2e10;
  constexpr double kMost = 4;
  const auto batch = static_cast<double>(experiment.config.train.batch);
  const double flops_of_batch =
      batch * flops_of(turn.trained, experiment.network) / static_cast<double>(samples);
  const double batches = std::clamp(std::floor(kFlops / std::max(flops_of_batch, 1.0)), 1.0, kMost);
  return static_cast<std::size_t>(batches * batch);
}

Sureness sureness_of(const Algorithm& algorithm, const Rehearsal& rehearsal) {
  if (algorithm.validation() > 0) return Sureness::if_all_do;
  return rehearsal.may_take_fewer() ? Sureness::at_least : Sureness::exact;
}

ForecastRound forecast_of(const CourseRound& round, double seconds) {
  return {.cohort = round.cohort,
          .bytes_up = round.bytes_up,
          .bytes_down = round.bytes_down,
          .gradients = round.gradients,
          .flops = round.flops,
          .personal_share = round.personal_share,
          .seconds = seconds};
}

constexpr std::size_t kAll = static_cast<std::size_t>(-1);
constexpr int kMostRehearsed = 200;  // rounds in which kinds of turns are looked for
constexpr std::size_t kMostKinds = 6;
constexpr double kKindSeconds = 0.3;  // of timing each of them
constexpr int kMostTimed = 64;        // clients side by side on a device

/// Of masks that result.h5 compares.
std::size_t compared_bytes(const Experiment& experiment, const Course& course) {
  const std::size_t clients = experiment.partition.clients();
  if (!experiment.config.output.masks || clients > kMostCompared) return 0;
  std::size_t different = 1;  // those that all have
  for (std::size_t k = 0; k < clients; ++k)
    if (const MaskPtr& mask = course.state(k).mask; mask && !mask->is_common()) ++different;
  return MaskComparison::bytes(experiment.network.layout(), clients, different);
}

}  // namespace

Estimator::Estimator(EstimateOptions options, const Experiment& experiment, Communicator& comm)
    : options_(std::move(options)),
      experiment_(experiment),
      comm_(comm),
      device_(options_.device, comm),
      client_(find_typical(experiment)),
      data_hash_(fingerprint(experiment.data, experiment.partition, comm)) {
  ranks_ = {.count = options_.ranks.value_or(comm.size()), .measured = comm.size()};
  const int here = count_ranks_on_node(comm);
  ranks_.on_node =
      std::min(ranks_.count,
               options_.ranks_on_node.value_or(ranks_.count == comm.size() ? here : ranks_.count));
}

/// The turns that a client can have are rehearsed; a client on each rank does one of each kind.
Estimator::Measured Estimator::measure(std::size_t index) {
  const Config& config = experiment_.config;
  const MethodConfig& method = config.methods[index];
  const Algorithm& algorithm = *method.algorithm;
  const SimulationSetup setup = everyone_present(setup_of(experiment_, method));
  const auto client_with = [&](std::size_t copies, std::size_t most_train) {
    return copies_of(experiment_.partition, client_, copies, most_train, kAll);
  };
  const auto rehearse = [&](std::size_t most_train) {
    return Rehearsal(setup, algorithm, experiment_.network, experiment_.data,
                     client_with(1, most_train));
  };
  ClientState fresh;
  const std::size_t samples = experiment_.partition.train[client_].size();
  const std::size_t timed = timed_samples(experiment_, rehearse(kAll).play(0, fresh), samples);
  const int rounds = static_cast<int>(std::min<std::int64_t>(config.rounds, kMostRehearsed));
  const std::vector<Turn> turns = rehearse(timed).lifetime(rounds);

  const Device device = device_.view();
  std::size_t on_device = 0;
  together(comm_, [&] {
    if (device.memory > 0) on_device = device_bytes(setup, algorithm);
    if (on_device > device.memory)
      throw InputError(fmt::format(
          "{}: {} clients at a time and the data set need {} of a GPU's memory, but a rank has {}: "
          "take a smaller model or train.batch, a smaller --group, fewer ranks on a GPU, or "
          "--device cpu",
          method.label, plan_groups(setup, algorithm).size,
          describe_bytes(static_cast<std::int64_t>(on_device)),
          describe_bytes(static_cast<std::int64_t>(device.memory))));
  });
  const auto on_rank =
      static_cast<std::size_t>(std::min(kMostTimed, plan_groups(setup, algorithm).size));
  const Partition partition = client_with(on_rank * static_cast<std::size_t>(comm_.size()), timed);
  release_freed();  // what rehearsals left is no part of a run
  Simulation simulation(setup, algorithm, experiment_.network, experiment_.data, partition, device,
                        comm_);
  auto description =
      describe_run(config, index, make_manifest(comm_, device.ops.device(), options_.command));
  description.cross = false;
  description.data_hash = data_hash_;
  std::optional<PassingFolder> folder;
  std::optional<RunWriter> writer;
  together(comm_, [&] {
    const fs::path path =
        fs::path(options_.store.scratch.empty() ? fs::temp_directory_path()
                                                : fs::path(options_.store.scratch)) /
        fmt::format("fedselect-estimate-{}", getpid());
    if (comm_.is_root()) folder.emplace(path);
    writer.emplace(path, std::move(description), experiment_.network, comm_, simulation);
  });
  Measured measured{.cost = calibrate(simulation, *writer, first_of_kinds(turns, kMostKinds), turns,
                                      experiment_.network, experiment_.data, partition,
                                      kKindSeconds, comm_)};
  if (comm_.is_root())
    measured.cost.result_bytes = fs::file_size(folder->path() / run_folder::kResult);
  shared_bytes_ = measure_memory().shared;
  measured.device_bytes = on_device;
  return measured;
}

/// Of a rank's device in the run.
Simulation::GroupPlan Estimator::plan_groups(const SimulationSetup& setup,
                                             const Algorithm& algorithm) const {
  const std::size_t clients = experiment_.partition.clients();
  const auto ranks = static_cast<std::size_t>(ranks_.count);
  return Simulation::plan_groups(device_.view(), (clients + ranks - 1) / ranks, setup, algorithm,
                                 experiment_.network, experiment_.data, experiment_.partition);
}

/// What one client takes, what each further one adds, a second group, libraries, and the data set.
std::size_t Estimator::device_bytes(const SimulationSetup& setup,
                                    const Algorithm& algorithm) const {
  const auto peak_of = [&](std::size_t clients) {
    Rehearsal rehearsal(setup, algorithm, experiment_.network, experiment_.data,
                        copies_of(experiment_.partition, client_, clients, kAll, kAll));
    rehearsal.lifetime(static_cast<int>(std::min<std::int64_t>(setup.rounds, kMostRehearsed)));
    return rehearsal.device_bytes();
  };
  const std::size_t one = peak_of(1);
  const Simulation::GroupPlan plan = plan_groups(setup, algorithm);
  const auto clients = static_cast<std::size_t>(plan.size);
  const auto further_groups = static_cast<std::size_t>(plan.count - 1);
  const std::size_t group =
      clients * ClientGroup::bytes_per_client(experiment_.network.layout(), algorithm.belongings());
  return one + (clients - 1) * (peak_of(2) - one) + further_groups * group +
         experiment_.data.bytes();
}

MethodForecast Estimator::forecast(std::size_t index) {
  const Measured measured = measure(index);
  if (!comm_.is_root()) return {};
  const Config& config = experiment_.config;
  const Partition& partition = experiment_.partition;
  const Network& network = experiment_.network;
  const MethodConfig& method = config.methods[index];
  const SimulationSetup setup = setup_of(experiment_, method);
  Rehearsal rehearsal(setup, *method.algorithm, network, experiment_.data,
                      copies_of(partition, client_, 1, kAll, kAll));
  Course course(setup, *method.algorithm, network.layout(), partition, rehearsal);
  const RoundClock clock(measured.cost, network, partition, config.federation, rehearsal, ranks_);

  MethodForecast forecast;
  forecast.label = method.label;
  forecast.device_bytes = measured.device_bytes;
  std::size_t records = 0;
  std::size_t most_records = 0;
  const bool all_are_recorded = method.algorithm->tested_on() != TestedOn::after_local;
  for (std::int64_t t = 0; t < config.rounds; ++t) {
    const CourseRound round = course.next();
    forecast.rounds.push_back(forecast_of(round, clock.seconds(round)));
    const auto recorded =
        all_are_recorded ? partition.clients() : static_cast<std::size_t>(round.cohort);
    records += recorded;
    most_records = std::max(most_records, recorded);
  }
  forecast.sureness = sureness_of(*method.algorithm, rehearsal);
  std::vector<const ClientState*> states;
  for (std::size_t k = 0; k < partition.clients(); ++k) states.push_back(&course.state(k));
  forecast.files =
      file_sizes({.layout = &network.layout(),
                  .rounds = static_cast<std::size_t>(config.rounds),
                  .clients = partition.clients(),
                  .ranks = static_cast<std::size_t>(ranks_.count),
                  .records = records,
                  .samples = total(partition.train) + total(partition.test),
                  .mask_bits = course.mask_bits(),
                  .server_arrays = 1 + static_cast<std::size_t>(method.algorithm->server_vectors()),
                  .output = config.output,
                  .cross = config.evaluate.cross},
                 states);
  forecast.finish_seconds =
      measured.cost.finishing * std::max(1.0, static_cast<double>(forecast.files.result) /
                                                  static_cast<double>(measured.cost.result_bytes)) +
      clock.seconds_of_tests(concluding_flops());
  add_memory(forecast, index, measured.cost, course, clock.rank_of_client(), most_records);
  return forecast;
}

/// Of what follows the last round: everyone's model on everyone's samples, and the new clients.
double Estimator::concluding_flops() const {
  const Config& config = experiment_.config;
  const Partition& partition = experiment_.partition;
  double flops = 0;
  if (config.evaluate.cross)
    flops += static_cast<double>(partition.clients()) *
             flops_of({.forward = static_cast<std::int64_t>(total(partition.test))},
                      experiment_.network);
  for (std::size_t k = config.federation.taking_part(partition.clients()); k < partition.clients();
       ++k)
    flops += flops_of({.forward = 2 * static_cast<std::int64_t>(partition.test[k].size()),
                       .backward = config.evaluate.new_client_passes *
                                   static_cast<std::int64_t>(partition.train[k].size())},
                      experiment_.network);
  return flops;
}

/// What the clients of a rank share in a round, which a robust merge keeps, and what it exchanges.
std::size_t Estimator::uploaded_bytes(const MethodForecast& forecast, std::size_t index) const {
  const Config& config = experiment_.config;
  if (config.server.merge == Merge::mean) return 0;
  const ParameterLayout& layout = experiment_.network.layout();
  const auto contributions =
      static_cast<std::size_t>(config.methods[index].algorithm->belongings().contributions);
  const std::size_t of_client =
      (layout.padded_size() + contributions * layout.parameter_span()) * sizeof(float);
  const auto ranks = static_cast<std::size_t>(ranks_.count);
  std::size_t cohort = 0;
  for (const ForecastRound& round : forecast.rounds)
    cohort = std::max(cohort, static_cast<std::size_t>(round.cohort));
  const std::size_t kept = (cohort + ranks - 1) / ranks * of_client;
  return kept + 3 * std::min(kept, kMergePiece);
}

/// The rank that keeps most: the calibration's memory, with the states of all its clients in place
/// of those that were timed. On top comes what the root writes down: a round's records, twice, or
/// at the end the masks that it compares, whichever is more.
void Estimator::add_memory(MethodForecast& forecast, std::size_t index, const MethodCost& cost,
                           const Course& course, const std::vector<int>& rank_of,
                           std::size_t records) const {
  std::vector<std::size_t> states(static_cast<std::size_t>(ranks_.count), 0);
  for (std::size_t k = 0; k < rank_of.size(); ++k)
    states[static_cast<std::size_t>(rank_of[k])] += course.most_bytes()[k];
  const std::size_t most = *std::max_element(states.begin(), states.end());
  const std::size_t limit = client_memory(options_.store, ranks_.on_node);
  const bool spills = most > ClientStore::room_for_states(limit);
  forecast.state_bytes = spills ? limit : most;
  forecast.spill_bytes = spills ? most : 0;
  const ParameterLayout& layout = experiment_.network.layout();
  const std::size_t recorded =
      records * (sizeof(ClientRecord) + layout.tensors().size() * sizeof(float));
  forecast.root_bytes = std::max(2 * recorded, compared_bytes(experiment_, course));
  forecast.rank_bytes = cost.resident_bytes - std::min(cost.resident_bytes, cost.state_bytes) +
                        forecast.state_bytes + uploaded_bytes(forecast, index) +
                        forecast.root_bytes;
}

}  // namespace fedselect
