// What a simulation measures: tests of the clients' models, and what a round cost.

#include <algorithm>
#include <utility>

#include "base/sha256.hpp"
#include "fed/packing.hpp"
#include "fed/simulation.hpp"
#include "fed/traffic.hpp"

namespace fedselect {

namespace {

std::array<std::uint8_t, 16> fingerprint(const ParameterLayout& layout, const Mask& mask) {
  const auto packed = pack_mask(layout, mask.words());
  const auto digest = sha256(std::as_bytes(std::span(packed)));
  std::array<std::uint8_t, 16> half{};
  std::copy_n(digest.begin(), half.size(), half.begin());
  return half;
}

}  // namespace

void Simulation::test_before(std::vector<ClientRecord>& records, int t) {
  const auto remembered = [&](const ClientRecord& record) {
    return broadcast_accuracy_[static_cast<std::size_t>(record.client)];
  };
  if (broadcast_round_ == t - 1 && t > 0) {  // tested at the end of the last round
    for (auto& record : records) record.accuracy_before = remembered(record);
    return;
  }
  const auto tallies = trainer_.test();
  for (std::size_t g = 0; g < records.size(); ++g)
    records[g].accuracy_before = tallies[g].accuracy();
}

void Simulation::test_after(std::vector<ClientRecord>& records) {
  const auto tallies = trainer_.test();
  for (std::size_t g = 0; g < records.size(); ++g) {
    records[g].accuracy_after = tallies[g].accuracy();
    if (algorithm_.tested_on() == TestedOn::after_local)
      records[g].accuracy = records[g].accuracy_after;
  }
}

/// Collective: the records of the open round, and of all other clients of the shard that take part,
/// with their accuracies. None: a rank was asked to stop.
std::optional<std::vector<ClientRecord>> Simulation::test_everyone(int t, const StopRequest& stop) {
  std::vector<ClientRecord> all;
  const auto failure = attempt([&] { all = test_shard(t, stop); });
  if (!end_together(all.size() < trained_.size(), failure)) return std::nullopt;
  for (const ClientRecord& record : all)
    broadcast_accuracy_[static_cast<std::size_t>(record.client)] = record.accuracy;
  if (algorithm_.tested_on() == TestedOn::after_broadcast) broadcast_round_ = t;
  return all;
}

/// Of those that were tested when it was asked to stop.
std::vector<ClientRecord> Simulation::test_shard(int t, const StopRequest& stop) {
  std::vector<ClientRecord> all;
  auto next = open_->records.begin();  // ascending, as the shard is
  for (const auto ids : cut_into_groups(trained_)) {
    if (stop()) break;
    load_deployed(ids, t);
    const auto tallies = trainer_.test();
    for (std::size_t g = 0; g < ids.size(); ++g) {
      const bool took_part = next != open_->records.end() && next->client == ids[g];
      all.push_back(took_part ? *next++ : ClientRecord{.client = ids[g]});
      all.back().accuracy = tallies[g].accuracy();
    }
    trim_store();
  }
  return all;
}

/// The group becomes what these clients would deploy.
void Simulation::load_deployed(std::span<const int> clients, int t) {
  group_->load(store_, clients, server_.broadcast(), t);
  trainer_.begin(Phase::evaluate);
  if (algorithm_.tested_on() == TestedOn::personalised) algorithm_.before_test(*group_, trainer_);
}

/// Whether it was asked to stop.
bool Simulation::test_cross_and_new(const StopRequest& stop) {
  if (setup_.evaluate.cross)
    for (const int client : shard_) {
      if (stop()) return true;
      cross_[client] = test_on_everyone(client);
    }
  for (const auto ids : cut_into_groups(untrained_)) {
    if (stop()) return true;
    test_new_clients(ids);
  }
  return false;
}

std::vector<float> Simulation::test_on_everyone(int client) {
  load_deployed(std::span(&client, 1), setup_.rounds - 1);
  std::vector<float> row;
  for (int owner = 0; owner < static_cast<int>(partition_.clients()); ++owner)
    row.push_back(static_cast<float>(trainer_.test(std::span(&owner, 1))[0].accuracy()));
  trim_store();
  return row;
}

/// They begin with the global model, and at the last round's learning rate.
void Simulation::test_new_clients(std::span<const int> clients) {
  group_->load(store_, clients, server_.broadcast(), setup_.rounds - 1);
  trainer_.begin(Phase::evaluate);
  std::vector<NewClientRecord> records;
  const auto before = trainer_.test();
  for (std::size_t g = 0; g < clients.size(); ++g)
    records.push_back({.client = clients[g], .accuracy_before = before[g].accuracy()});
  trainer_.passes(setup_.evaluate.new_client_passes, Scope::all);
  group_->check_divergence();
  const auto after = trainer_.test();
  for (std::size_t g = 0; g < clients.size(); ++g) records[g].accuracy_after = after[g].accuracy();
  new_clients_.insert(new_clients_.end(), records.begin(), records.end());
}

void Simulation::account(Trip& trip) const {
  const ClientGroup& group = *trip.group;
  for (int g = 0; g < group.size(); ++g) {
    ClientRecord& record = trip.records[static_cast<std::size_t>(g)];
    const Tally& tally = trip.training[static_cast<std::size_t>(g)];
    const std::int64_t personal = group.personal(g) + group.personal_statistics(g);
    record.diverged = static_cast<std::uint8_t>(group.diverged(g));
    record.loss = tally.mean_loss();
    record.gradients = tally.samples;
    record.flops = static_cast<double>(tally.samples) * training_flops_;
    if (group.diverged(g)) continue;  // it takes part in nothing
    record.bytes_up = bytes_from_client(layout_, algorithm_, personal,
                                        group.mask_searched(g) && record.mask_changes > 0);
    record.bytes_down = bytes_to_client(layout_, algorithm_, personal);
  }
}

/// What the server hears of a client of which nothing arrives: it received the model.
ClientRecord Simulation::dropped_record(int client) const {
  const MaskPtr mask = store_.state(client).mask;
  const auto personal = static_cast<std::int64_t>(mask ? mask->count() : 0);
  return {.client = client,
          .participated = 1,
          .dropped = 1,
          .samples =
              static_cast<std::int64_t>(partition_.train[static_cast<std::size_t>(client)].size()),
          .bytes_down = bytes_to_client(layout_, algorithm_, personal)};
}

/// What a saved client proposed will take effect in this round.
void Simulation::count_mask_changes(std::vector<ClientRecord>& records,
                                    std::span<const MaskPtr> before) const {
  for (std::size_t g = 0; g < records.size(); ++g) {
    const ClientState& state = std::as_const(store_).state(records[g].client);
    records[g].mask_changes = count_differences(
        before[g], state.next_mask ? state.next_mask : state.mask, layout_.parameter_span());
  }
}

void Simulation::measure(RoundRecord& record) {
  std::int64_t gradients = 0;
  for (ClientRecord& client : record.clients) {
    gradients += client.gradients;
    const MaskPtr mask = std::as_const(store_).state(client.client).mask;
    trim_store();
    if (client.mask_changes > 0 && mask) client.mask_hash = fingerprint(layout_, *mask);
    for (const Tensor& tensor : layout_.tensors()) {
      const Word* words = mask ? mask->words().data() + tensor.range.begin / kWordBits : nullptr;
      const auto personal = mask ? count_bits(words, tensor.size()) : 0;
      record.density.push_back(
          static_cast<float>(static_cast<double>(personal) / static_cast<double>(tensor.size())));
    }
  }
  const PhaseSeconds seconds = clock_.take();
  const double training = seconds[static_cast<std::size_t>(Phase::train)];
  record.ranks = {{seconds, training > 0 ? static_cast<double>(gradients) / training : 0}};
}

AlignedVector<float> Simulation::global_model() const {
  AlignedVector<float> values(layout_.padded_size());
  server_.model().download(ops_, 0, std::span(values));
  return values;
}

MaskPtr Simulation::mask(int client) {
  MaskPtr mask = std::as_const(store_).state(client).mask;
  trim_store();
  return mask;
}

AlignedVector<float> Simulation::client_model(int client) {
  load_deployed(std::span(&client, 1), setup_.rounds - 1);
  AlignedVector<float> values(layout_.padded_size());
  ops_.download(values.data(), group_->parameters()[0], values.size() * sizeof(float));
  trim_store();
  return values;
}

}  // namespace fedselect
