#include "fed/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"

namespace fedselect {

namespace {

std::size_t longest(const std::vector<Partition::Indices>& split) {
  std::size_t most = 0;
  for (const auto& indices : split) most = std::max(most, indices.size());
  return most;
}

}  // namespace

Trainer::Trainer(ops::Ops& ops, const Network& network, const TrainConfig& train, int test_batch,
                 std::uint64_t seed, const Dataset& data, const Partition& partition,
                 ClientGroup& clients, int capacity)
    : ops_(ops),
      network_(network),
      config_(train),
      test_batch_(test_batch),
      seed_(seed),
      data_(data),
      partition_(partition),
      clients_(clients),
      activations_(ops, network, capacity, static_cast<int>(train.batch), test_batch),
      order_(ops, capacity, std::max(longest(partition.train), longest(partition.test))),
      wanted_(network.layout().tensors().size()) {
  const auto n = static_cast<std::size_t>(capacity);
  host_order_.reserve(order_.count());
  ranges_.reserve(wanted_.size());
  batch_samples_.resize(n);
  losses_.resize(n);
  norms_.resize(n);
  correct_.resize(n);
  scale_.assign(n, 1.0F);
  training_.resize(n);
  tested_.resize(n);
}

void Trainer::begin(Phase phase) {
  phase_ = phase;
  std::fill(training_.begin(), training_.end(), Tally{});
  next_pass_ = 0;
}

void Trainer::passes(std::int64_t n, Scope scope) {
  const PhaseClock::Scope timed(clients_.clock(), phase_);
  const ops::SgdRule rule{static_cast<float>(config_.lr), static_cast<float>(config_.momentum),
                          static_cast<float>(config_.weight_decay), scope};
  const bool changes_something = plan(scope);
  for (std::int64_t i = 0; i < n; ++i) {
    const int pass = next_pass_++;  // a skipped pass keeps its number: others draw the same orders
    if (!changes_something) continue;
    draw_orders(pass);
    std::size_t most = 0;
    for (const int client : clients_.clients())
      most = std::max(most, partition_.train[static_cast<std::size_t>(client)].size());
    const auto batch = static_cast<std::size_t>(config_.batch);
    for (std::size_t s = 0; s * batch < most; ++s) step(static_cast<int>(s), rule);
  }
}

void Trainer::alternate(std::int64_t n, Alternation order) {
  if (order == Alternation::blocked) {
    passes(n, Scope::personal);
    passes(n, Scope::shared);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    passes(1, Scope::personal);
    passes(1, Scope::shared);
  }
}

bool Trainer::plan(Scope scope) {
  const auto& tensors = clients_.layout().tensors();
  ranges_.clear();
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto size = static_cast<std::int64_t>(tensors[t].size());
    bool any = scope == Scope::all;
    for (int g = 0; g < clients_.size(); ++g) {
      const std::int64_t personal = clients_.personal(g, t);
      any |= scope == Scope::personal ? personal > 0 : personal < size;
    }
    wanted_[t] = static_cast<char>(any);
    if (any) ranges_.push_back(tensors[t].range);
  }
  const bool changes_something = !ranges_.empty();
  // Clipping measures the norm over all gradients, also those of frozen indices.
  if (config_.grad_clip > 0) std::fill(wanted_.begin(), wanted_.end(), 1);
  return changes_something;
}

void Trainer::draw_orders(int pass) {
  for (int g = 0; g < clients_.size(); ++g) {
    const int client = clients_.clients()[static_cast<std::size_t>(g)];
    const auto& indices = partition_.train[static_cast<std::size_t>(client)];
    host_order_.assign(indices.begin(), indices.end());
    if (config_.shuffle) {
      RandomStream random(seed_, Purpose::batch_order, static_cast<std::uint32_t>(client),
                          static_cast<std::uint32_t>(clients_.round()),
                          static_cast<std::uint32_t>(pass));
      random.shuffle(std::span(host_order_));
    }
    order_.upload(ops_, g, std::span<const std::int32_t>(host_order_));
  }
}

ops::Group Trainer::take_batch(const std::vector<Partition::Indices>& split, int step, int batch,
                               const Samples& part) {
  const auto first = static_cast<std::int64_t>(step) * batch;
  for (std::size_t g = 0; g < used(); ++g) {
    const auto client = static_cast<std::size_t>(clients_.clients()[g]);
    const auto left = static_cast<std::int64_t>(split[client].size()) - first;
    const bool sits_out = clients_.diverged(static_cast<int>(g));
    batch_samples_[g] =
        sits_out ? 0 : static_cast<int>(std::clamp(left, std::int64_t{0}, std::int64_t{batch}));
  }
  const ops::Group group{std::span<const int>(batch_samples_).first(used())};
  ops_.gather_batch(group, data_.source(part), order_.view().at(static_cast<std::size_t>(first)),
                    activations_.images(), activations_.labels());
  return group;
}

void Trainer::step(int step, const ops::SgdRule& rule) {
  const ops::Group group =
      take_batch(partition_.train, step, static_cast<int>(config_.batch), data_.train);
  const auto gradient = clients_.gradient();
  activations_.forward(group, clients_.parameters());
  activations_.backward(group, clients_.parameters(), wanted_, gradient, losses_, correct_);
  for (std::size_t g = 0; g < used(); ++g) {
    if (group.samples[g] == 0) continue;
    training_[g].loss += losses_[g];
    training_[g].samples += group.samples[g];
    training_[g].correct += correct_[g];
    if (!std::isfinite(losses_[g])) clients_.mark_diverged(static_cast<int>(g));
  }
  if (config_.grad_clip > 0) {
    // As torch.nn.utils.clip_grad_norm_: scale = min(1, limit / (norm + 1e-6)).
    ops_.squared_norm(group, clients_.layout().ranges(), gradient, norms_);
    for (std::size_t g = 0; g < used(); ++g)
      scale_[g] =
          static_cast<float>(std::min(1.0, config_.grad_clip / (std::sqrt(norms_[g]) + 1e-6)));
  }
  ops_.sgd_step(group, ranges_, rule, scale_, clients_.parameters(), gradient,
                config_.momentum > 0 ? clients_.velocity() : ops::Values{},
                rule.scope == Scope::all ? ops::ConstBits{} : clients_.mask());
}

std::span<const Tally> Trainer::test() {
  const PhaseClock::Scope timed(clients_.clock(), Phase::evaluate);
  std::fill(tested_.begin(), tested_.end(), Tally{});
  std::size_t most = 0;
  for (int g = 0; g < clients_.size(); ++g) {
    const auto client = static_cast<std::size_t>(clients_.clients()[static_cast<std::size_t>(g)]);
    const auto& indices = partition_.test[client];
    order_.upload(ops_, g, std::span<const std::int32_t>(indices));
    most = std::max(most, indices.size());
  }
  for (std::size_t s = 0; s * static_cast<std::size_t>(test_batch_) < most; ++s) {
    const ops::Group group =
        take_batch(partition_.test, static_cast<int>(s), test_batch_, data_.test);
    activations_.forward(group, clients_.parameters());
    activations_.measure(group, losses_, correct_);
    for (std::size_t g = 0; g < used(); ++g) {
      if (group.samples[g] == 0) continue;
      tested_[g].loss += losses_[g];
      tested_[g].samples += group.samples[g];
      tested_[g].correct += correct_[g];
    }
  }
  return {tested_.data(), used()};
}

}  // namespace fedselect
