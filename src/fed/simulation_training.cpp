// How the clients of a round train: group by group, from the store and back.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "fed/simulation.hpp"

namespace fedselect {

bool Simulation::train_cohort(int t, const StopRequest& stop) {
  const bool is_fresh = !open_;
  if (is_fresh) begin_round(t);
  bool stopped = false;
  const auto left = lend(left_to_train(), is_fresh);
  store_.expect_soon(left);
  const auto start = std::chrono::steady_clock::now();
  const auto failure = attempt([&] { stopped = train_groups(left, t, stop); });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!stopped) measure_pace(left, seconds.count());
  bring_home();
  return end_together(stopped, failure);
}

bool Simulation::conclude(const StopRequest& stop) {
  bool stopped = false;
  const auto failure = attempt([&] { stopped = test_cross_and_new(stop); });
  return end_together(stopped, failure);
}

/// Collective: whether no rank stopped. What one threw, all throw, if they are to.
bool Simulation::end_together(bool stopped, const std::exception_ptr& failure) {
  const PhaseClock::Scope timed(clock_, Phase::communicate);
  if (setup_.fails_together) try {
      agree(comm_, [&] {
        if (const auto earlier = std::exchange(failure_, nullptr)) std::rethrow_exception(earlier);
        if (failure) std::rethrow_exception(failure);
      });
    } catch (const InputError& error) {
      throw AgreedFailure(error.what());
    }
  return comm_.all_reduce_min(stopped ? 0 : 1) == 1;
}

/// Whether it was asked to stop. Where two groups take turns, one comes and goes while the other
/// trains.
bool Simulation::train_groups(std::span<const int> clients, int t, const StopRequest& stop) {
  const auto groups = cut_into_groups(clients);
  const auto set_out_with = [&](std::size_t i) {
    return set_out(*groups_[i % groups_.size()], groups[i], t);
  };
  std::optional<Trip> ahead;   // loaded
  std::optional<Trip> behind;  // trained
  bool stopped = false;
  beside_.after(ops_);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    stopped = stop();
    if (stopped) break;
    Trip trip = ahead ? *std::exchange(ahead, std::nullopt) : set_out_with(i);
    if (groups_.size() > 1)
      trainer_.while_busy([&] {
        if (behind) come_home(*std::exchange(behind, std::nullopt));
        if (i + 1 < groups.size()) ahead = set_out_with(i + 1);
      });
    train_trip(trip, t);
    trainer_.do_aside();
    behind = std::move(trip);
    if (groups_.size() == 1) come_home(*std::exchange(behind, std::nullopt));
  }
  if (behind) come_home(*std::move(behind));
  return stopped;
}

Simulation::Trip Simulation::set_out(ClientGroup& group, std::span<const int> clients, int t) {
  group.load(beside_, store_, clients, server_.broadcast(), t);
  return {.group = &group, .records = new_records(clients), .masks_before = masks(clients)};
}

void Simulation::train_trip(Trip& trip, int t) {
  ops_.after(beside_);
  group_ = trip.group;
  trainer_.turn_to(*group_);
  if (evaluates_in(t)) test_before(trip.records, t);
  train(t);
  if (evaluates_in(t)) test_after(trip.records);
  collect(open_->messages);
  // Attacks and clipping change what is sent, not what is kept.
  trip.is_saved = faults_.has_attackers() || setup_.server.clip_norm > 0;
  if (trip.is_saved) group_->save(store_);
  add_group(t);
  trip.training.assign(trainer_.training().begin(), trainer_.training().end());
  beside_.after(ops_);
}

void Simulation::come_home(Trip trip) {
  if (!trip.is_saved) trip.group->save(beside_, store_);
  count_mask_changes(trip.records, trip.masks_before);
  account(trip);
  open_->records.insert(open_->records.end(), trip.records.begin(), trip.records.end());
  trim_store();
}

std::vector<ClientRecord> Simulation::new_records(std::span<const int> clients) const {
  std::vector<ClientRecord> records;
  for (const int client : clients) {
    const auto samples = partition_.train[static_cast<std::size_t>(client)].size();
    records.push_back(
        {.client = client, .participated = 1, .samples = static_cast<std::int64_t>(samples)});
  }
  return records;
}

std::vector<MaskPtr> Simulation::masks(std::span<const int> clients) const {
  std::vector<MaskPtr> masks;
  for (const int client : clients) masks.push_back(std::as_const(store_).state(client).mask);
  return masks;
}

void Simulation::train(int t) {
  const pulse::Work work(pulse::Kind::training);
  trainer_.begin(Phase::train);
  algorithm_.client_step(*group_, trainer_, setup_.passes);
  group_->check_divergence();
  for (int g = 0; g < group_->size(); ++g)
    if (group_->diverged(g) && setup_.train.on_divergence == OnDivergence::abort)
      throw SystemError(
          fmt::format("client {} diverged in round {} (its loss is not finite, or a weight reached "
                      "4096): lower "
                      "train.lr, set "
                      "train.grad_clip, or set train.on_divergence = \"exclude\"",
                      group_->clients()[static_cast<std::size_t>(g)], t));
}

/// The parameters become what Byzantine clients send.
void Simulation::attack(int t) {
  const FaultsConfig& config = faults_.config();
  std::vector<double> of_start;
  std::vector<double> of_model;
  for (const int client : group_->clients()) {
    const double s = faults_.is_byzantine(client) ? config.attack_scale : 0;
    of_start.push_back(s == 0 ? 0 : config.attack == Attack::sign_flip ? 1 + s : 1 - s);
    of_model.push_back(s == 0 ? 1 : config.attack == Attack::sign_flip ? -s : s);
  }
  if (std::all_of(of_model.begin(), of_model.end(), [](double factor) { return factor == 1; }) &&
      config.attack != Attack::noise)
    return;
  if (config.attack == Attack::noise) {
    std::vector<float> noise(layout_.parameter_span());
    for (int g = 0; g < group_->size(); ++g) {
      const int client = group_->clients()[static_cast<std::size_t>(g)];
      if (!faults_.is_byzantine(client)) continue;
      faults_.draw_noise(client, t, noise);
      group_->add_values(g, noise);
    }
  } else {
    group_->combine(of_start, group_->start(), of_model, group_->parameters(),
                    group_->parameters());
  }
  group_->check_divergence();
}

void Simulation::add_group(int t) {
  const PhaseClock::Scope timed(clock_, Phase::aggregate);
  if (faults_.has_attackers()) attack(t);
  if (setup_.server.clip_norm > 0) group_->clip_change(setup_.server.clip_norm);
  std::vector<std::uint32_t> weights;
  for (int g = 0; g < group_->size(); ++g)
    weights.push_back(group_->diverged(g) ? 0
                                          : weight(group_->clients()[static_cast<std::size_t>(g)]));
  if (setup_.server.merge == Merge::mean)
    server_.add(*group_, weights);
  else
    server_.add(*group_, weights, open_->uploads);
}

void Simulation::collect(Messages& messages) {
  for (int g = 0; g < group_->size(); ++g)
    if (!group_->diverged(g))
      messages.add(group_->clients()[static_cast<std::size_t>(g)], group_->message(g));
}

}  // namespace fedselect
