#include "fed/trainer.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/pulse.hpp"

namespace fedselect {

namespace {

constexpr std::size_t kOptimizers = 2;  // a method trains two models at most

std::size_t longest(const std::vector<Partition::Indices>& split) {
  std::size_t most = 0;
  for (const auto& indices : split) most = std::max(most, indices.size());
  return most;
}

/// How many of n training samples are held back: the fraction, half to even, but at least one.
std::size_t held_back(std::size_t n, double fraction) {
  if (fraction == 0) return 0;
  return std::max<std::size_t>(
      1, static_cast<std::size_t>(std::nearbyint(fraction * static_cast<double>(n))));
}

/// Batches no longer than what they are taken from, so that memory is for samples that there are.
/// What is looked at in large batches may be training samples too.
TrainerSetup fit_batches(TrainerSetup setup, const Partition& partition) {
  const auto train = std::max<std::int64_t>(1, static_cast<std::int64_t>(longest(partition.train)));
  const auto test = static_cast<std::int64_t>(longest(partition.test));
  setup.train.batch = std::min(setup.train.batch, train);
  setup.test_batch =
      static_cast<int>(std::min<std::int64_t>(setup.test_batch, std::max(train, test)));
  return setup;
}

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> ids{0};
  return ++ids;
}

}  // namespace

PlacedSamples::PlacedSamples(ops::Ops& ops, const Dataset& data, const Samples& part)
    : source(data.source(part)) {
  pixels = ops.place(source.pixels, part.size * source.image.size());
  labels = ops.place(source.labels, part.size * sizeof(std::int32_t));
  source.pixels = static_cast<const std::uint8_t*>(pixels.get());
  source.labels = static_cast<const std::int32_t*>(labels.get());
}

Trainer::Trainer(ops::Ops& ops, const Network& network, const TrainerSetup& setup,
                 const Dataset& data, const Partition& partition, ClientGroup& clients,
                 int capacity)
    : ops_(ops),
      network_(network),
      setup_(fit_batches(setup, partition)),
      train_samples_(ops, data, data.train),
      test_samples_(ops, data, data.test),
      clients_(&clients),
      activations_(ops, network, capacity, static_cast<int>(setup_.train.batch), setup_.test_batch),
      order_(ops, capacity, std::max(longest(partition.train), longest(partition.test))),
      changed_(network.layout().tensors().size()),
      wanted_(changed_.size()),
      loss_sums_(ops, 1, static_cast<std::size_t>(capacity)),
      hit_sums_(ops, 1, static_cast<std::size_t>(capacity)),
      id_(next_id()) {
  for (std::size_t i = 0; i < kOptimizers; ++i)
    optimizers_.emplace_back(ops, setup.train.optimizer, capacity, network.layout().padded_size());
  for (const auto& indices : partition.train) {
    const std::span all(indices);
    const std::size_t back = held_back(all.size(), setup.validation);
    train_.push_back(all.first(all.size() - back));
    validation_.push_back(all.last(back));
  }
  test_.assign(partition.test.begin(), partition.test.end());
  const auto n = static_cast<std::size_t>(capacity);
  host_order_.resize(n * order_.stride());
  if (setup.train.augmentation.any()) {
    placements_ = {ops, capacity, longest(partition.train)};
    host_placements_.resize(n * placements_.stride());
  }
  if (setup.train.grad_clip > 0) scale_ = {ops, 1, n};
  ranges_.reserve(wanted_.size());
  batch_samples_.resize(n);
  taken_.resize(n);
  trains_.resize(n);
  joins_.resize(n);
  losses_.resize(n);
  hits_.resize(n);
  key_.reserve(wanted_.size() + 5);
  pull_.resize(n);
  steps_.resize(n);
  training_.resize(n);
  tested_.resize(n);
}

std::size_t Trainer::bytes_per_client(const Network& network, const TrainerSetup& setup,
                                      const Partition& partition) {
  const std::size_t samples = std::max(longest(partition.train), longest(partition.test));
  const bool is_sgd = setup.train.optimizer.kind == OptimizerKind::sgd;
  const std::size_t moments = is_sgd ? (setup.train.optimizer.momentum > 0 ? 1 : 0) : 2;
  const TrainerSetup fit = fit_batches(setup, partition);
  return Activations::bytes_per_client(network, static_cast<int>(fit.train.batch), fit.test_batch) +
         samples * (sizeof(std::int32_t) + sizeof(ops::Placement)) +
         kOptimizers * moments * network.layout().padded_size() * sizeof(float) +
         static_cast<std::size_t>(network.classes()) * ClassFeatures::row(network.features()) *
             sizeof(double);
}

void Trainer::begin(Phase phase) {
  phase_ = phase;
  std::fill(training_.begin(), training_.end(), Tally{});
  std::fill(steps_.begin(), steps_.end(), 0);
  refresh_optimizers();
  next_pass_ = 0;
}

void Trainer::refresh_optimizers() {
  for (Optimizer& optimizer : optimizers_) optimizer.reset();
}

void Trainer::rewind() {
  clients_->rewind();
  refresh_optimizers();
}

void Trainer::passes(std::int64_t n, Scope scope) {
  static const StepRule kStep = [](LocalStep& step) { step.train(); };
  passes(n, scope, kStep);
}

void Trainer::passes(std::int64_t n, Scope scope, const StepRule& rule) {
  static const StepRule kLook = [](LocalStep& step) { step.look(); };
  const PhaseClock::Scope timed(clients_->clock(), phase_);
  plan(scope);
  const auto some = [&](bool train) {
    std::transform(trains_.begin(), trains_.end(), joins_.begin(),
                   [&](char trains) { return (trains != 0) == train ? 1 : 0; });
    return std::count(joins_.begin(), joins_.begin() + clients_->size(), 1) > 0;
  };
  for (std::int64_t i = 0; i < n; ++i) {
    const int pass = next_pass_++;  // a skipped pass keeps its number: others draw the same orders
    if (some(true)) run_pass(pass, scope, rule, 1);
    if (network_.has_statistics() && some(false)) run_pass(pass, scope, kLook, 1);
  }
}

void Trainer::passes(std::int64_t n, const StepRule& rule, int stride) {
  const PhaseClock::Scope timed(clients_->clock(), phase_);
  plan(Scope::all);
  joins_ = trains_;
  for (std::int64_t i = 0; i < n; ++i) run_pass(next_pass_++, Scope::all, rule, stride);
}

void Trainer::run_pass(int pass, Scope scope, const StepRule& rule, int stride) {
  draw_pass(pass);
  std::size_t most = 0;
  for (const int client : clients_->clients())
    most = std::max(most, train_[static_cast<std::size_t>(client)].size());
  const auto batch = static_cast<std::size_t>(setup_.train.batch);
  const auto batches = static_cast<int>((most + batch - 1) / batch);
  for (int s = 0; s < batches; s += stride) {
    count_batch(train_, clients_->clients(), s, static_cast<int>(setup_.train.batch));
    clients_->narrow(batch_group().samples);
    LocalStep step(*this, scope, s, pass == 0 && s == 0);
    rule(step);
  }
  clients_->widen();
  finish_pass();
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

void Trainer::step_once(double rate) {
  const PhaseClock::Scope timed(clients_->clock(), phase_);
  plan(Scope::all);
  joins_ = trains_;
  draw_pass(next_pass_++);
  LocalStep step(*this, Scope::all, 0, true);
  step.gradient();
  step.descend_plainly(rate);
  finish_pass();
}

/// Which clients a pass over the scope changes, and which tensors any of them needs.
void Trainer::plan(Scope scope) {
  const auto& tensors = clients_->layout().tensors();
  ranges_.clear();
  std::fill(trains_.begin(), trains_.end(), 0);
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto size = static_cast<std::int64_t>(tensors[t].size());
    bool any = false;
    for (int g = 0; g < clients_->size(); ++g) {
      const std::int64_t personal = clients_->personal(g, t);
      const bool here =
          scope == Scope::all || (scope == Scope::personal ? personal > 0 : personal < size);
      any |= here;
      trains_[static_cast<std::size_t>(g)] |= static_cast<char>(here);
    }
    changed_[t] = static_cast<char>(any);
    if (any) ranges_.push_back(tensors[t].range);
  }
  // Clipping measures the norm over all gradients, also those of frozen indices.
  wanted_ = changed_;
  if (setup_.train.grad_clip > 0) std::fill(wanted_.begin(), wanted_.end(), 1);
}

/// What a pass shows: the clients' samples in an order, and how each is placed.
void Trainer::draw_pass(int pass) {
  draw_orders(pass);
  if (!placements_.empty()) draw_placements(pass);
}

void Trainer::draw_orders(int pass) {
  for (int g = 0; g < clients_->size(); ++g) {
    const int client = clients_->clients()[static_cast<std::size_t>(g)];
    const auto& indices = train_[static_cast<std::size_t>(client)];
    const auto order = std::span(host_order_)
                           .subspan(static_cast<std::size_t>(g) * order_.stride(), indices.size());
    std::copy(indices.begin(), indices.end(), order.begin());
    if (setup_.train.shuffle) {
      RandomStream random = stream_of(Purpose::batch_order, client, pass);
      random.shuffle(order);
    }
  }
  order_.upload(ops_, std::span<const std::int32_t>(host_order_).first(used() * order_.stride()));
}

void Trainer::draw_placements(int pass) {
  for (int g = 0; g < clients_->size(); ++g) {
    const int client = clients_->clients()[static_cast<std::size_t>(g)];
    const auto placements = std::span(host_placements_)
                                .subspan(static_cast<std::size_t>(g) * placements_.stride(),
                                         train_[static_cast<std::size_t>(client)].size());
    RandomStream random = stream_of(Purpose::augmentation, client, pass);
    fedselect::draw_placements(setup_.train.augmentation, random, placements);
  }
  placements_.upload(
      ops_, std::span<const ops::Placement>(host_placements_).first(used() * placements_.stride()));
}

/// The random numbers of a client's pass.
RandomStream Trainer::stream_of(Purpose purpose, int client, int pass) const {
  return {setup_.seed, purpose, static_cast<std::uint32_t>(client),
          static_cast<std::uint32_t>(clients_->round()), static_cast<std::uint32_t>(pass)};
}

/// Samples of batch number `step` of each client: those that its owner in `split` has.
void Trainer::count_batch(const Split& split, std::span<const int> owners, int step, int batch) {
  const auto first = static_cast<std::int64_t>(step) * batch;
  for (std::size_t g = 0; g < used(); ++g) {
    const auto owner = static_cast<std::size_t>(owners[g]);
    const auto left = static_cast<std::int64_t>(split[owner].size()) - first;
    const bool sits_out = joins_[g] == 0 || clients_->diverged(static_cast<int>(g));
    batch_samples_[g] =
        sits_out ? 0 : static_cast<int>(std::clamp(left, std::int64_t{0}, std::int64_t{batch}));
  }
}

void Trainer::gather_batch(int step, int batch, const PlacedSamples& samples,
                           ops::Grouped<const ops::Placement> placements) {
  ops_.begin_batch();
  pulse::begin_batch(std::accumulate(batch_samples_.begin(), batch_samples_.end(), 0.0));
  const auto first = static_cast<std::size_t>(step) * static_cast<std::size_t>(batch);
  ops_.gather_batch(batch_group(), samples.source, order_.view().at(first), placements.at(first),
                    activations_.images(), activations_.labels());
}

/// Batch number step + ahead; for a client whose pass ends before it, the last one from `step` on.
void Trainer::take_training_batch(int step, int ahead) {
  const auto batch = static_cast<int>(setup_.train.batch);
  std::fill(taken_.begin(), taken_.end(), 0);
  for (int s = step + ahead; s >= step; --s) {
    count_batch(train_, clients_->clients(), s, batch);
    for (std::size_t g = 0; g < used(); ++g)
      if (taken_[g] != 0)
        batch_samples_[g] = 0;  // it has its batch
      else
        taken_[g] = batch_samples_[g];
    gather_batch(s, batch, train_samples_, placements_.view());
  }
  std::swap(taken_, batch_samples_);
}

void Trainer::learn(int step, int ahead, const FeaturePull& pull) {
  take_training_batch(step, ahead);
  run_backward(pull);
  count_samples();
}

void Trainer::run_backward(const FeaturePull& pull) {
  activations_.forward(batch_group(), clients_->parameters(), Mode::training);
  activations_.backward(batch_group(), clients_->parameters(), wanted_, clients_->gradient(),
                        sums(), pull);
}

void Trainer::count_samples() {
  for (std::size_t g = 0; g < used(); ++g) training_[g].samples += batch_samples_[g];
}

void Trainer::count_steps() {
  for (std::size_t g = 0; g < used(); ++g) steps_[g] += static_cast<int>(batch_samples_[g] != 0);
}

/// gradient() and descend() in one piece, for the device to replay.
void Trainer::train(int step, Scope scope) {
  take_training_batch(step, 0);
  Optimizer& optimizer = optimizers_[0];
  optimizer.make_ready();
  const auto work = [this, scope] {
    run_backward();
    move(clients_->parameters(), 0, scope);
  };
  if (optimizer.has_equal_steps()) {
    key_.assign({id_, reinterpret_cast<std::uintptr_t>(clients_->parameters().data),
                 reinterpret_cast<std::uintptr_t>(clients_->mask().data),
                 std::bit_cast<std::uint64_t>(rate()), static_cast<std::uint64_t>(scope)});
    key_.insert(key_.end(), changed_.begin(), changed_.end());
    ops_.replay(key_, batch_group(), work);
  } else {
    work();
  }
  count_samples();
  count_steps();
}

/// The factor that keeps each client's gradient within its limit; null without one.
ops::ConstValues Trainer::limit_gradient() {
  if (scale_.empty()) return {};
  const ops::Values scale{scale_.of(0), 1};
  ops_.clip_scale(batch_group(), clients_->layout().ranges(), setup_.train.grad_clip,
                  clients_->gradient(), scale);
  return scale;
}

void Trainer::descend(ops::Values target, std::size_t slot, Scope scope) {
  optimizers_[slot].make_ready();
  move(target, slot, scope);
  if (slot == 0) count_steps();
}

void Trainer::move(ops::Values target, std::size_t slot, Scope scope) {
  const ops::ConstValues scale = limit_gradient();
  optimizers_[slot].step(batch_group(), ranges_, rate(),
                         {.theta = target,
                          .gradient = clients_->gradient(),
                          .scale = scale,
                          .mask = scope == Scope::all ? ops::ConstBits{} : clients_->mask(),
                          .scope = scope});
}

void Trainer::do_aside() {
  const auto work = std::exchange(aside_, {});
  if (!work) return;
  const pulse::Work files(pulse::Kind::none);
  work();
}

void Trainer::finish_pass() {
  take_sums(training_);
  for (std::size_t g = 0; g < used(); ++g)
    if (!std::isfinite(training_[g].loss)) clients_->mark_diverged(static_cast<int>(g));
}

/// Adds what the batches since the last call came to, and begins anew.
void Trainer::take_sums(std::vector<Tally>& tallies) {
  do_aside();  // before waiting for the device
  ops_.finish_batches();
  loss_sums_.download(ops_, 0, std::span(losses_));
  hit_sums_.download(ops_, 0, std::span(hits_));
  ops_.zero(loss_sums_.of(0), losses_.size() * sizeof(double));
  ops_.zero(hit_sums_.of(0), hits_.size() * sizeof(std::int32_t));
  for (std::size_t g = 0; g < used(); ++g) {
    tallies[g].loss += losses_[g];
    tallies[g].correct += hits_[g];
  }
}

}  // namespace fedselect
