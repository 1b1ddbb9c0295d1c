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

}  // namespace

int Simulation::choose_group(const Device& device, std::size_t clients,
                             std::size_t bytes_per_client) {
  const std::size_t wanted =
      device.group > 0 ? static_cast<std::size_t>(device.group) : device.memory / bytes_per_client;
  const std::size_t most = std::clamp<std::size_t>(clients, 1, kLargestGroup);
  return static_cast<int>(std::clamp<std::size_t>(wanted, 1, most));
}

std::size_t Simulation::bytes_per_client(const SimulationSetup& setup, const Algorithm& algorithm,
                                         const Network& network, const Partition& partition) {
  return ClientGroup::bytes_per_client(network.layout(), algorithm.belongings()) +
         Trainer::bytes_per_client(network, trainer_setup(setup, algorithm), partition);
}

void Simulation::for_each_group(std::span<const int> clients, const GroupAction& action) const {
  const auto most = static_cast<std::size_t>(group_size_);
  for (std::size_t i = 0; i < clients.size(); i += most)
    action(clients.subspan(i, std::min(most, clients.size() - i)));
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
      group_size_(choose_group(device, shard_.size(),
                               bytes_per_client(setup, algorithm, network, partition))),
      group_(ops_, layout_, group_size_, algorithm.belongings(), first_model(setup, network),
             clock_),
      trainer_(ops_, network, trainer_setup(setup, algorithm), data, partition, group_,
               group_size_),
      broadcast_accuracy_(partition.clients(), ClientRecord::kNone) {
  clock_.watch([this](std::string_view phase) { ops_.enter_phase(phase); });
  const auto taking_part = static_cast<int>(setup.federation.taking_part(partition.clients()));
  const auto first_new = std::lower_bound(shard_.begin(), shard_.end(), taking_part);
  trained_ = {shard_.begin(), first_new};
  untrained_ = {first_new, shard_.end()};
}

RoundRecord Simulation::round(int t) {
  train_cohort(t, [] { return false; });
  return complete_round(t);
}

void Simulation::begin_round(int t) {
  reporting_ =
      draw_cohort(setup_.federation, setup_.seed, partition_.clients(), t, setup_.absences);
  open_ = OpenRound{.records = {}, .messages = Messages(algorithm_.belongings().message)};
  std::erase_if(reporting_, [&](int client) {
    const bool is_lost = !faults_.reports(client, t);
    if (is_lost && rank_of_[static_cast<std::size_t>(client)] == comm_.rank())
      open_->records.push_back(dropped_record(client));
    return is_lost;
  });
  if (setup_.server.merge == Merge::mean) return server_.begin_round(total_weight(reporting_));
  server_.begin_round(1);
  open_->uploads = server_.new_uploads();
}

namespace {

/// Runs `action`; the exception that it throws, if that is to wait.
std::exception_ptr attempt(bool waits, const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    if (!waits) throw;
    return std::current_exception();
  }
  return nullptr;
}

}  // namespace

bool Simulation::train_cohort(int t, const StopRequest& stop) {
  const bool is_fresh = !open_;
  if (is_fresh) begin_round(t);
  bool stopped = false;
  const auto left = lend(left_to_train(), is_fresh);
  store_.expect_soon(left);
  const auto start = std::chrono::steady_clock::now();
  const auto failure = attempt(setup_.fails_together, [&] {
    for_each_group(left, [&](std::span<const int> ids) {
      stopped = stopped || stop();
      if (stopped) return;
      group_.load(store_, ids, server_.broadcast(), t);
      auto records = new_records();
      const auto masks_before = masks();
      if (evaluates_in(t)) test_before(records, t);
      train(t);
      if (evaluates_in(t)) test_after(records);
      collect(open_->messages);
      group_.save(store_);
      add_group(t);  // after saving: attacks and clipping change what is sent, not what is kept
      count_mask_changes(records, masks_before);
      account(records);
      open_->records.insert(open_->records.end(), records.begin(), records.end());
      trim_store();
    });
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!stopped) measure_pace(left, seconds.count());
  bring_home();
  const PhaseClock::Scope timed(clock_, Phase::communicate);
  if (setup_.fails_together)
    agree(comm_, [&] {
      if (failure) std::rethrow_exception(failure);
    });
  return comm_.all_reduce_min(stopped ? 0 : 1) == 1;
}

RoundRecord Simulation::complete_round(int t) {
  RoundRecord record{
      .round = t, .evaluated = evaluates_in(t), .clients = {}, .density = {}, .ranks = {}};
  aggregate();
  if (algorithm_.belongings().message > 0) answer(open_->messages);
  record.clients = std::move(open_->records);
  open_.reset();
  std::sort(record.clients.begin(), record.clients.end(),
            [](const ClientRecord& a, const ClientRecord& b) { return a.client < b.client; });
  adopt_masks(record.clients, t);
  if (record.evaluated && algorithm_.tested_on() != TestedOn::after_local) test_everyone(record);
  measure(record);
  return record;
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
  std::vector<int> left = mine(reporting_);
  std::erase_if(left, [&](int client) {
    const auto& done = open_->records;
    return std::any_of(done.begin(), done.end(),
                       [&](const ClientRecord& record) { return record.client == client; });
  });
  return left;
}

std::vector<ClientRecord> Simulation::new_records() const {
  std::vector<ClientRecord> records;
  for (const int client : group_.clients()) {
    const auto samples = partition_.train[static_cast<std::size_t>(client)].size();
    records.push_back(
        {.client = client, .participated = 1, .samples = static_cast<std::int64_t>(samples)});
  }
  return records;
}

std::vector<MaskPtr> Simulation::masks() const {
  std::vector<MaskPtr> masks;
  for (const int client : group_.clients()) masks.push_back(store_.state(client).mask);
  return masks;
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

void Simulation::train(int t) {
  const pulse::Computing computing;
  trainer_.begin(Phase::train);
  algorithm_.client_step(group_, trainer_, setup_.passes);
  group_.check_divergence();
  for (int g = 0; g < group_.size(); ++g)
    if (group_.diverged(g) && setup_.train.on_divergence == OnDivergence::abort)
      throw SystemError(
          fmt::format("client {} diverged in round {} (its loss is not finite, or a weight reached "
                      "4096): lower "
                      "train.lr, set "
                      "train.grad_clip, or set train.on_divergence = \"exclude\"",
                      group_.clients()[static_cast<std::size_t>(g)], t));
}

/// The parameters become what Byzantine clients send.
void Simulation::attack(int t) {
  const FaultsConfig& config = faults_.config();
  std::vector<double> of_start;
  std::vector<double> of_model;
  for (const int client : group_.clients()) {
    const double s = faults_.is_byzantine(client) ? config.attack_scale : 0;
    of_start.push_back(s == 0 ? 0 : config.attack == Attack::sign_flip ? 1 + s : 1 - s);
    of_model.push_back(s == 0 ? 1 : config.attack == Attack::sign_flip ? -s : s);
  }
  if (std::all_of(of_model.begin(), of_model.end(), [](double factor) { return factor == 1; }) &&
      config.attack != Attack::noise)
    return;
  if (config.attack == Attack::noise) {
    std::vector<float> noise(layout_.parameter_span());
    for (int g = 0; g < group_.size(); ++g) {
      const int client = group_.clients()[static_cast<std::size_t>(g)];
      if (!faults_.is_byzantine(client)) continue;
      faults_.draw_noise(client, t, noise);
      group_.add_values(g, noise);
    }
  } else {
    group_.combine(of_start, group_.start(), of_model, group_.parameters(), group_.parameters());
  }
  group_.check_divergence();
}

void Simulation::add_group(int t) {
  const PhaseClock::Scope timed(clock_, Phase::aggregate);
  if (faults_.has_attackers()) attack(t);
  if (setup_.server.clip_norm > 0) group_.clip_change(setup_.server.clip_norm);
  std::vector<std::uint32_t> weights;
  for (int g = 0; g < group_.size(); ++g)
    weights.push_back(group_.diverged(g) ? 0
                                         : weight(group_.clients()[static_cast<std::size_t>(g)]));
  if (setup_.server.merge == Merge::mean)
    server_.add(group_, weights);
  else
    server_.add(group_, weights, open_->uploads);
}

void Simulation::collect(Messages& messages) {
  for (int g = 0; g < group_.size(); ++g)
    if (!group_.diverged(g))
      messages.add(group_.clients()[static_cast<std::size_t>(g)], group_.message(g));
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
  std::vector<int> proposed;
  for (const ClientRecord& record : records)
    if (std::as_const(store_).state(record.client).next_mask) proposed.push_back(record.client);
  for_each_group(proposed, [&](std::span<const int> ids) {
    group_.load(store_, ids, server_.broadcast(), t);
    group_.adopt_next_masks();
    group_.save(store_);
    trim_store();
  });
}

void Simulation::trim_store() {
  const PhaseClock::Scope timed(clock_, Phase::store);
  store_.trim();
}

void Simulation::abandon_round() { open_.reset(); }

void Simulation::restore_tested(int round, std::span<const double> accuracy_of_shard) {
  broadcast_round_ = round;
  for (std::size_t i = 0; i < shard_.size(); ++i)
    broadcast_accuracy_[static_cast<std::size_t>(shard_[i])] = accuracy_of_shard[i];
}

std::vector<SumState> Simulation::total_sums() {
  server_.all_reduce(sums_, comm_);
  return server_.sums();
}

void Simulation::restore_open_round(int t, OpenRound mine) {
  begin_round(t);
  open_ = std::move(mine);
}

void Simulation::restore_sums(std::span<const SumState> sums) {
  if (comm_.is_root()) server_.restore_sums(sums);
}

}  // namespace fedselect
