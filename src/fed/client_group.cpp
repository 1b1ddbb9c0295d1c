#include "fed/client_group.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

ClientGroup::ClientGroup(ops::Ops& ops, const ParameterLayout& layout, int capacity,
                         const Belongings& belongings, std::span<const float> initial,
                         PhaseClock& clock)
    : ops_(ops),
      layout_(layout),
      initial_(initial.begin(), initial.end()),
      clock_(clock),
      active_(static_cast<std::size_t>(capacity), 1),
      diverged_(static_cast<std::size_t>(capacity), 0),
      everything_{0, layout.parameter_span()},
      theta_(ops, capacity, layout.padded_size()),
      gradient_(ops, capacity, layout.padded_size()),
      mask_(ops, capacity, layout.words()),
      next_mask_(ops, capacity, layout.words()),
      eligible_(ops, capacity, layout.words()),
      message_size_(belongings.message) {
  for (const VectorKind kind : belongings.vectors)
    vectors_.push_back({kind, {ops, capacity, layout.padded_size()}});
  for (int i = 0; i < belongings.contributions; ++i)
    contributions_.emplace_back(ops, capacity, layout.padded_size());
  const auto n = static_cast<std::size_t>(capacity);
  first_scalars_ = belongings.scalars;
  scalars_.assign(belongings.scalars.size(), std::vector<double>(n));
  messages_.resize(n * message_size_);
  rule_.resize(n);
  magnitudes_.resize(n);
  for (auto& factors : factors_) factors.resize(n);
  personal_counts_.resize(n * layout.tensors().size());
  take_.resize(personal_counts_.size());
}

std::size_t ClientGroup::bytes_per_client(const ParameterLayout& layout,
                                          const Belongings& belongings) {
  // Parameters, those at the start, gradient; masks: in force, next, eligible and two candidates.
  const std::size_t vectors =
      3 + belongings.vectors.size() + static_cast<std::size_t>(belongings.contributions);
  constexpr std::size_t kMasks = 5;
  return vectors * layout.padded_size() * sizeof(float) + kMasks * layout.words() * sizeof(Word);
}

void ClientGroup::load(ops::Ops& via, const ClientStore& store, std::span<const int> clients,
                       const Broadcast& broadcast, int round) {
  const PhaseClock::Scope timed(clock_, Phase::store);
  clients_.assign(clients.begin(), clients.end());
  round_ = round;
  mask_proposed_.assign(clients.size(), 0);
  mask_searched_.assign(clients.size(), 0);
  std::fill(diverged_.begin(), diverged_.end(), 0);
  widen();
  for (int g = 0; g < size(); ++g) {
    const ClientState& state = store.state(clients_[static_cast<std::size_t>(g)]);
    rule_[static_cast<std::size_t>(g)] = state.mask;
    if (state.mask)
      mask_.upload(via, g, state.mask->words());
    else
      via.zero(mask_.of(g), layout_.words() * sizeof(Word));
    const auto& scalars = state.scalars.empty() ? first_scalars_ : state.scalars;
    for (std::size_t s = 0; s < scalars_.size(); ++s)
      scalars_[s][static_cast<std::size_t>(g)] = scalars[s];
  }
  store_ = &store;
  broadcast_ = broadcast;
  start_present_ = false;
  std::fill(messages_.begin(), messages_.end(), 0.0F);
  for (auto& vector : vectors_) vector.present = vector.changed = false;
  fetch(via, theta_);
  recount(via);
}

void ClientGroup::fetch(ops::Ops& via, ops::DeviceArray<float>& target) {
  bool any_personal = false;
  for (int g = 0; g < size(); ++g) {
    const ClientState& state = store_->state(clients_[static_cast<std::size_t>(g)]);
    via.copy(target.of(g), broadcast_.model->of(0), layout_.padded_size() * sizeof(float));
    if (state.mask) {
      eligible_.upload(via, g, state.mask->words());
      gradient_.upload(via, g, state.personal);  // its memory is free between steps
      any_personal = true;
    } else {
      via.zero(eligible_.of(g), layout_.words() * sizeof(Word));
    }
  }
  const std::vector<int> everyone(clients_.size(), 1);
  if (any_personal)
    via.unpack({everyone}, layout_.padded_size(), gradient(), eligible_.view(), target.view());
}

ops::ConstValues ClientGroup::start() {
  if (!start_present_) {
    const PhaseClock::Scope timed(clock_, Phase::store);
    if (start_.empty()) start_ = {ops_, static_cast<int>(active_.size()), layout_.padded_size()};
    fetch(ops_, start_);
    start_present_ = true;
  }
  return start_.view();
}

void ClientGroup::save(ops::Ops& via, ClientStore& store) {
  const PhaseClock::Scope timed(clock_, Phase::store);
  std::vector<std::size_t> counts(clients_.size());
  via.pack(active(), layout_.padded_size(), parameters(), mask(), gradient(), counts);
  for (int g = 0; g < size(); ++g) {
    const auto i = static_cast<std::size_t>(g);
    if (diverged(g)) continue;
    ClientState& state = store.state(clients_[i]);
    if (counts[i] > 0) rule_[i] = resting_mask(via, g);
    state.mask = counts[i] > 0 ? rule_[i] : nullptr;
    if (state.personal.size() != counts[i]) state.personal = UnsetVector<float>(counts[i]);
    gradient_.download(via, g, std::span(state.personal));
    if (mask_proposed_[i] != 0) {
      std::vector<Word> words(layout_.words());
      next_mask_.download(via, g, std::span(words));
      state.next_mask = std::make_shared<const Mask>(std::move(words));
    } else {
      state.next_mask = nullptr;
    }
    state.scalars.resize(scalars_.size());
    for (std::size_t s = 0; s < scalars_.size(); ++s) state.scalars[s] = scalars_[s][i];
    state.vectors.resize(vectors_.size());
    for (std::size_t v = 0; v < vectors_.size(); ++v) {
      if (!vectors_[v].changed || vectors_[v].kind == VectorKind::scratch) continue;
      state.vectors[v].resize(layout_.padded_size());
      vectors_[v].values.download(via, g, std::span(state.vectors[v]));
    }
  }
}

MaskPtr ClientGroup::resting_mask(ops::Ops& via, int g) const {
  if (const MaskPtr& rule = rule_[static_cast<std::size_t>(g)]) return rule;
  if (personal(g) + personal_statistics(via, g) == 0) return nullptr;
  std::vector<Word> words(layout_.words());
  mask_.download(via, g, std::span(words));
  return std::make_shared<const Mask>(std::move(words));
}

void ClientGroup::narrow(std::span<const int> samples) {
  for (std::size_t g = 0; g < samples.size(); ++g)
    active_[g] = diverged_[g] == 0 && samples[g] > 0 ? 1 : 0;
}

void ClientGroup::widen() {
  for (std::size_t g = 0; g < active_.size(); ++g) active_[g] = diverged_[g] == 0 ? 1 : 0;
}

void ClientGroup::adopt_next_masks() {
  for (int g = 0; g < size(); ++g) {
    const auto i = static_cast<std::size_t>(g);
    const MaskPtr& next = store_->state(clients_[i]).next_mask;
    if (!next) continue;
    mask_.upload(ops_, g, next->words());
    rule_[i] = next;
  }
}

void ClientGroup::personalize(const MaskPtr& mask) {
  const PhaseClock::Scope timed(clock_, Phase::select);
  for (int g = 0; g < size(); ++g) {
    mask_.upload(ops_, g, mask->words());
    rule_[static_cast<std::size_t>(g)] = mask;
  }
  recount();
}

void ClientGroup::personalize_first(const MaskPtr& mask) {
  for (int g = 0; g < size(); ++g) {
    if (rule_[static_cast<std::size_t>(g)]) continue;
    mask_.upload(ops_, g, mask->words());
    rule_[static_cast<std::size_t>(g)] = mask;
  }
  recount();
}

void ClientGroup::check_divergence() {
  ops_.largest_magnitude(active(), layout_.padded_size(), parameters(), magnitudes_);
  for (int g = 0; g < size(); ++g) {
    if (diverged(g)) continue;
    const auto told = message(g);
    if (magnitudes_[static_cast<std::size_t>(g)] >= ops::FixedPoint::kMagnitudeLimit ||
        !std::all_of(told.begin(), told.end(), [](float value) { return std::isfinite(value); }))
      mark_diverged(g);
  }
}

void ClientGroup::read_personal(int g, std::span<float> values) {
  std::vector<std::size_t> counts(clients_.size());
  ops_.pack(active(), layout_.padded_size(), parameters(), mask(), gradient(), counts);
  const auto present = std::min(values.size(), counts[static_cast<std::size_t>(g)]);
  gradient_.download(ops_, g, values.first(present));
}

void ClientGroup::rewind() {
  const ops::ConstValues begin = start();
  for (int g = 0; g < size(); ++g)
    ops_.copy(theta_.of(g), begin[g], layout_.padded_size() * sizeof(float));
}

ops::ConstValues ClientGroup::vector(std::size_t index) {
  Vector& vector = vectors_[index];
  if (!vector.present && vector.kind != VectorKind::scratch) {
    const PhaseClock::Scope timed(clock_, Phase::store);
    for (int g = 0; g < size(); ++g) {
      const auto& kept = store_->state(clients_[static_cast<std::size_t>(g)]).vectors;
      if (index < kept.size() && !kept[index].empty())
        vector.values.upload(ops_, g, kept[index]);
      else if (vector.kind == VectorKind::from_initial_model)
        vector.values.upload(ops_, g, initial_);
      else
        ops_.zero(vector.values.of(g), layout_.padded_size() * sizeof(float));
    }
    vector.present = true;
  }
  return vector.values.view();
}

ops::Values ClientGroup::changed_vector(std::size_t index) {
  vector(index);
  vectors_[index].changed = true;
  return vectors_[index].values.view();
}

void ClientGroup::remember(std::size_t index) {
  Vector& vector = vectors_[index];
  for (int g = 0; g < size(); ++g)
    ops_.copy(vector.values.of(g), theta_.of(g), layout_.padded_size() * sizeof(float));
  vector.present = vector.changed = true;
}

void ClientGroup::exchange(std::size_t index) {
  changed_vector(index);
  std::swap(theta_, vectors_[index].values);
}

void ClientGroup::combine(double a, ops::ConstValues x, double b, ops::ConstValues y,
                          ops::Values out) {
  std::fill(factors_[0].begin(), factors_[0].end(), static_cast<float>(a));
  std::fill(factors_[1].begin(), factors_[1].end(), static_cast<float>(b));
  ops_.combine(active(), layout_.padded_size(), factors_[0], x, factors_[1], y, out);
}

void ClientGroup::combine(std::span<const double> a, ops::ConstValues x, std::span<const double> b,
                          ops::ConstValues y, ops::Values out) {
  for (std::size_t g = 0; g < clients_.size(); ++g) {
    factors_[0][g] = static_cast<float>(a[g]);
    factors_[1][g] = static_cast<float>(b[g]);
  }
  ops_.combine(active(), layout_.padded_size(), factors_[0], x, factors_[1], y, out);
}

void ClientGroup::add_values(int g, std::span<const float> values) {
  for (int c = 0; c < size(); ++c)
    ops_.zero(gradient_.of(c), layout_.padded_size() * sizeof(float));
  gradient_.upload(ops_, g, values);
  combine(1, parameters(), 1, gradient(), parameters());
}

void ClientGroup::clip_change(double most) {
  const ops::ConstValues begin = start();
  // Where parameters are personal, those of the beginning: no change.
  std::vector<std::size_t> counts(clients_.size());
  ops_.pack(active(), layout_.padded_size(), begin, mask(), gradient(), counts);
  ops_.unpack(active(), layout_.padded_size(), gradient(), mask(), parameters());
  combine(1, parameters(), -1, begin, gradient());
  const auto squares = dot(gradient(), gradient());
  std::vector<double> kept(clients_.size(), 1);
  std::vector<double> of_start(clients_.size(), 0);
  for (std::size_t g = 0; g < clients_.size(); ++g) {
    if (squares[g] <= most * most) continue;
    kept[g] = most / std::sqrt(squares[g]);
    of_start[g] = 1 - kept[g];
  }
  combine(of_start, begin, kept, parameters(), parameters());
}

std::vector<double> ClientGroup::dot(ops::ConstValues x, ops::ConstValues y) {
  std::vector<double> out(clients_.size());
  ops_.dot(active(), layout_.ranges(), x, y, out);
  return out;
}

void ClientGroup::copy_statistics(ops::ConstValues from, ops::Values to) {
  const std::size_t begin = layout_.parameter_span();
  for (int g = 0; g < size(); ++g)
    if (active_[static_cast<std::size_t>(g)] != 0)
      ops_.copy(to[g] + begin, from[g] + begin, (layout_.padded_size() - begin) * sizeof(float));
}

std::int64_t ClientGroup::personal(int g) const {
  const auto tensors = layout_.tensors().size();
  const auto first = personal_counts_.begin() +
                     static_cast<std::ptrdiff_t>(g) * static_cast<std::ptrdiff_t>(tensors);
  return std::accumulate(first, first + static_cast<std::ptrdiff_t>(tensors), std::int64_t{0});
}

std::int64_t ClientGroup::personal_statistics(ops::Ops& via, int g) const {
  if (layout_.statistics().empty()) return 0;
  const ops::Range range{layout_.parameter_span(),
                         layout_.padded_size() - layout_.parameter_span()};
  std::vector<std::int64_t> counts(clients_.size());
  via.count_bits(active(), {&range, 1}, mask(), counts);
  return counts[static_cast<std::size_t>(g)];
}

void ClientGroup::recount(ops::Ops& via) {
  via.count_bits(active(), layout_.ranges(), mask(),
                 std::span(personal_counts_).first(clients_.size() * layout_.tensors().size()));
}

}  // namespace fedselect
