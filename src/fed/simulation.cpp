#include "fed/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "fed/assignment.hpp"

namespace fedselect {

namespace {

std::vector<double> expected_work(const Partition& partition) {
  std::vector<double> work;
  for (const auto& indices : partition.train) work.push_back(static_cast<double>(indices.size()));
  return work;
}

std::vector<std::size_t> sizes_of(const Partition& partition) {
  std::vector<std::size_t> sizes;
  for (const auto& indices : partition.train) sizes.push_back(indices.size());
  return sizes;
}

std::vector<int> hosted_by(const std::vector<int>& rank_of, int rank) {
  std::vector<int> clients;
  for (std::size_t k = 0; k < rank_of.size(); ++k)
    if (rank_of[k] == rank) clients.push_back(static_cast<int>(k));
  return clients;
}

AlignedVector<float> first_model(const SimulationSetup& setup, const Network& network) {
  if (setup.initial.empty()) return network.initial_parameters(setup.seed);
  return {setup.initial.begin(), setup.initial.end()};
}

TrainerSetup trainer_setup(const SimulationSetup& setup, const Algorithm& algorithm) {
  return {.train = setup.train,
          .rounds = setup.rounds,
          .test_batch = static_cast<int>(setup.evaluate.batch),
          .seed = setup.seed,
          .validation = algorithm.validation()};
}

constexpr std::size_t kLargestGroup = 65535;  // rows of a GPU's grid
constexpr double kGroupShare = 0.6;  // of the memory: data set and groups; the rest is scratch

template <class Make>
auto make_groups(std::size_t count, const Make& make) {
  std::vector<decltype(make())> groups;
  std::generate_n(std::back_inserter(groups), count, make);
  return groups;
}

}  // namespace

Simulation::GroupPlan Simulation::plan_groups(const Device& device, std::size_t clients,
                                              const SimulationSetup& setup,
                                              const Algorithm& algorithm, const Network& network,
                                              const Dataset& data, const Partition& partition) {
  const std::size_t most = std::clamp<std::size_t>(clients, 1, kLargestGroup);
  const bool takes_turns = &device.ops.beside() != &device.ops;
  const std::size_t of_group =
      ClientGroup::bytes_per_client(network.layout(), algorithm.belongings());
  const std::size_t of_trainer =
      Trainer::bytes_per_client(network, trainer_setup(setup, algorithm), partition);
  if (device.memory > 0 && data.bytes() > device.memory)
    throw InputError(fmt::format(
        "the data set takes {} of the {} bytes this rank may use of the GPU: run fewer ranks on a "
        "GPU, or use --device cpu",
        data.bytes(), device.memory));
  const auto room = static_cast<std::size_t>(kGroupShare * static_cast<double>(device.memory));
  const std::size_t free = room - std::min(room, data.bytes());
  const auto wanted = [&](std::size_t groups) {
    return device.group > 0 ? static_cast<std::size_t>(device.group)
                            : free / (groups * of_group + of_trainer);
  };
  const int count = takes_turns && wanted(1) < clients ? 2 : 1;
  const std::size_t size = wanted(static_cast<std::size_t>(count));
  return {static_cast<int>(std::clamp<std::size_t>(size, 1, most)), count};
}

std::vector<std::span<const int>> Simulation::cut_into_groups(std::span<const int> clients) const {
  const auto most = static_cast<std::size_t>(plan_.size);
  std::vector<std::span<const int>> groups;
  for (std::size_t i = 0; i < clients.size(); i += most)
    groups.push_back(clients.subspan(i, std::min(most, clients.size() - i)));
  return groups;
}

Simulation::Simulation(const SimulationSetup& setup, const Algorithm& algorithm,
                       const Network& network, const Dataset& data, const Partition& partition,
                       const Device& device, Communicator& comm)
    : setup_(setup),
      algorithm_(algorithm),
      layout_(network.layout()),
      training_flops_(network.training_flops()),
      partition_(partition),
      ops_(device.ops),
      beside_(device.ops.beside()),
      sums_(device.sums),
      comm_(comm),
      work_(expected_work(partition)),
      rank_of_(
          assign_shards(work_, setup.federation.taking_part(partition.clients()), comm.size())),
      shard_(hosted_by(rank_of_, comm.rank())),
      faults_(setup.faults, setup.seed, sizes_of(partition)),
      store_(partition.clients(), shard_, setup.store),
      server_(ops_, layout_, setup.server, first_model(setup, network), algorithm.server_vectors(),
              algorithm.belongings()),
      plan_(plan_groups(device, shard_.size(), setup, algorithm, network, data, partition)),
      groups_(make_groups(static_cast<std::size_t>(plan_.count),
                          [&] {
                            return std::make_unique<ClientGroup>(
                                ops_, layout_, plan_.size, algorithm.belongings(),
                                first_model(setup, network), clock_);
                          })),
      group_(groups_.front().get()),
      trainer_(ops_, network, trainer_setup(setup, algorithm), data, partition, *group_,
               plan_.size),
      broadcast_accuracy_(partition.clients(), ClientRecord::kNone) {
  pulse::forget_pace();  // this network may be another one than that before
  clock_.watch([this](std::string_view phase) { ops_.enter_phase(phase); });
  const auto taking_part = static_cast<int>(setup.federation.taking_part(partition.clients()));
  const auto first_new = std::lower_bound(shard_.begin(), shard_.end(), taking_part);
  trained_ = {shard_.begin(), first_new};
  untrained_ = {first_new, shard_.end()};
}

RoundRecord Simulation::round(int t) {
  train_cohort(t, never);
  return *complete_round(t, never);
}

void Simulation::begin_round(int t) {
  reporting_ =
      draw_cohort(setup_.federation, setup_.seed, partition_.clients(), t, setup_.absences);
  open_ = OpenRound{.records = {}, .messages = Messages(algorithm_.belongings().message)};
  std::erase_if(reporting_, [&](int client) {
    const bool is_lost = !faults_.reports(client, t);
    if (is_lost && rank_of_[static_cast<std::size_t>(client)] == comm_.rank()) {
      open_->records.push_back(dropped_record(client));
      trim_store();
    }
    return is_lost;
  });
  begin_sums();
  open_->uploads = server_.new_uploads();
}

/// Empty ones for the clients that report.
void Simulation::begin_sums() {
  server_.begin_round(setup_.server.merge == Merge::mean ? total_weight(reporting_) : 1);
}

std::optional<RoundRecord> Simulation::complete_round(int t, const StopRequest& stop) {
  RoundRecord record{
      .round = t, .evaluated = evaluates_in(t), .clients = {}, .density = {}, .ranks = {}};
  std::sort(open_->records.begin(), open_->records.end(),
            [](const ClientRecord& a, const ClientRecord& b) { return a.client < b.client; });
  if (!open_->is_merged) merge_round(t);
  if (record.evaluated && algorithm_.tested_on() != TestedOn::after_local) {
    auto tested = test_everyone(t, stop);
    if (!tested) return std::nullopt;
    record.clients = *std::move(tested);
  } else {
    record.clients = std::move(open_->records);
  }
  open_.reset();
  measure(record);
  return record;
}

/// Collective.
void Simulation::merge_round(int t) {
  aggregate();
  if (algorithm_.belongings().message > 0) answer(open_->messages);
  adopt_masks(open_->records, t);
  open_->messages = Messages(algorithm_.belongings().message);
  open_->uploads = server_.new_uploads();
  open_->is_merged = true;
}

/// Collective.
void Simulation::aggregate() {
  {
    const PhaseClock::Scope timed(clock_, Phase::communicate);
    if (setup_.server.merge != Merge::mean) server_.merge(comm_, open_->uploads, reporting_.size());
    server_.all_reduce(sums_, comm_);
  }
  const PhaseClock::Scope timed(clock_, Phase::aggregate);
  algorithm_.merge(server_,
                   static_cast<double>(reporting_.size()) /
                       static_cast<double>(setup_.federation.taking_part(partition_.clients())));
}

std::vector<int> Simulation::mine(const std::vector<int>& clients) const {
  std::vector<int> hosted;
  for (const int client : clients)
    if (rank_of_[static_cast<std::size_t>(client)] == comm_.rank()) hosted.push_back(client);
  return hosted;
}

/// Those that this rank hosts and that have not trained in the open round.
std::vector<int> Simulation::left_to_train() const {
  std::vector<bool> is_done(partition_.clients(), false);
  for (const ClientRecord& record : open_->records)
    is_done[static_cast<std::size_t>(record.client)] = true;
  std::vector<int> left = mine(reporting_);
  std::erase_if(left, [&](int client) { return is_done[static_cast<std::size_t>(client)]; });
  return left;
}

std::uint32_t Simulation::weight(int client) const {
  if (algorithm_.weighting() == Weighting::uniform) return 1;
  return static_cast<std::uint32_t>(partition_.train[static_cast<std::size_t>(client)].size());
}

std::uint64_t Simulation::total_weight(const std::vector<int>& cohort) const {
  std::uint64_t total = 0;
  for (const int client : cohort) total += weight(client);
  return total;
}

bool Simulation::evaluates_in(int t) const {
  return (t + 1) % setup_.evaluate.every == 0 || t + 1 == setup_.rounds;
}

/// Collective. `mine`: what the clients of the cohort that this rank hosts said.
void Simulation::answer(const Messages& mine) {
  const Messages messages = [&] {
    const PhaseClock::Scope timed(clock_, Phase::communicate);
    return share_messages(comm_, mine);
  }();
  if (messages.count() == 0) return;
  const PhaseClock::Scope timed(clock_, Phase::aggregate);
  std::vector<float> notice(algorithm_.belongings().notice);
  Answer reply{.notice = notice, .personal = {}};
  for (std::size_t i = 0; i < messages.count(); ++i) {
    const int client = messages.client(i);
    const bool hosted = rank_of_[static_cast<std::size_t>(client)] == comm_.rank();
    reply.personal.push_back(hosted ? std::span(store_.state(client).personal)
                                    : std::span<float>());
  }
  algorithm_.answer(messages, reply);
  trim_store();
  server_.post(notice);
}

void Simulation::adopt_masks(std::span<const ClientRecord> records, int t) {
  std::vector<int> clients;
  for (const ClientRecord& record : records) clients.push_back(record.client);
  for (const auto ids : cut_into_groups(clients)) {
    std::vector<int> proposed;
    for (const int client : ids)
      if (std::as_const(store_).state(client).next_mask) proposed.push_back(client);
    if (!proposed.empty()) {
      group_->load(store_, proposed, server_.broadcast(), t);
      group_->adopt_next_masks();
      group_->save(store_);
    }
    trim_store();
  }
}

/// A rank whose scratch is full still has all states. Where it must not throw alone, it throws at
/// the next end of something that all ranks do.
void Simulation::trim_store() {
  const PhaseClock::Scope timed(clock_, Phase::store);
  const auto failure = attempt([&] { store_.trim(); });
  if (!failure_) failure_ = failure;
}

/// Runs `action`; the exception that it throws, if that is to wait.
std::exception_ptr Simulation::attempt(const std::function<void()>& action) const {
  try {
    action();
  } catch (...) {
    if (!setup_.fails_together) throw;
    return std::current_exception();
  }
  return nullptr;
}

void Simulation::abandon_round() { open_.reset(); }

void Simulation::restore_tested(int round, std::span<const double> accuracy_of_shard) {
  broadcast_round_ = round;
  for (std::size_t i = 0; i < shard_.size(); ++i)
    broadcast_accuracy_[static_cast<std::size_t>(shard_[i])] = accuracy_of_shard[i];
}

std::vector<SumState> Simulation::total_sums() {
  server_.all_reduce(sums_, comm_);
  auto sums = server_.sums();
  begin_sums();
  restore_sums(sums);
  return sums;
}

void Simulation::restore_open_round(int t, OpenRound mine) {
  begin_round(t);
  open_ = std::move(mine);
}

void Simulation::restore_sums(std::span<const SumState> sums) {
  if (comm_.is_root()) server_.restore_sums(sums);
}

}  // namespace fedselect
