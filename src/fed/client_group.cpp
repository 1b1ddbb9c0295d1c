#include "fed/client_group.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

ClientGroup::ClientGroup(ops::Ops& ops, const ParameterLayout& layout, int capacity,
                         const std::vector<VectorStart>& vectors, std::span<const float> initial,
                         PhaseClock& clock)
    : ops_(ops),
      layout_(layout),
      initial_(initial.begin(), initial.end()),
      clock_(clock),
      active_(static_cast<std::size_t>(capacity), 1),
      everything_{0, layout.parameter_span()},
      theta_(ops, capacity, layout.padded_size()),
      gradient_(ops, capacity, layout.padded_size()),
      mask_(ops, capacity, layout.words()),
      next_mask_(ops, capacity, layout.words()),
      eligible_(ops, capacity, layout.words()) {
  for (const VectorStart start : vectors)
    vectors_.push_back({start, {ops, capacity, layout.padded_size()}});
  const auto n = static_cast<std::size_t>(capacity);
  rule_.resize(n);
  norms_.resize(n);
  personal_counts_.resize(n * layout.tensors().size());
  take_.resize(personal_counts_.size());
}

void ClientGroup::load(const ClientStore& store, std::span<const int> clients,
                       const ParameterVector& global, int round) {
  const PhaseClock::Scope timed(clock_, Phase::store);
  clients_.assign(clients.begin(), clients.end());
  round_ = round;
  mask_proposed_.assign(clients.size(), 0);
  mask_changed_.assign(clients.size(), 0);
  std::fill(active_.begin(), active_.end(), 1);
  for (int g = 0; g < size(); ++g) {
    const ClientState& state = store.state(clients_[static_cast<std::size_t>(g)]);
    rule_[static_cast<std::size_t>(g)] = state.mask;
    if (state.mask)
      mask_.upload(ops_, g, state.mask->words());
    else
      ops_.zero(mask_.of(g), layout_.words() * sizeof(Word));
    if (!velocity_.empty()) ops_.zero(velocity_.of(g), layout_.padded_size() * sizeof(float));
  }
  store_ = &store;
  global_ = &global;
  start_present_ = false;
  for (auto& vector : vectors_) vector.present = vector.changed = false;
  fetch(theta_);
  recount();
}

void ClientGroup::fetch(ops::DeviceArray<float>& target) {
  bool any_personal = false;
  for (int g = 0; g < size(); ++g) {
    const ClientState& state = store_->state(clients_[static_cast<std::size_t>(g)]);
    ops_.copy(target.of(g), global_->of(0), layout_.padded_size() * sizeof(float));
    if (state.mask) {
      eligible_.upload(ops_, g, state.mask->words());
      gradient_.upload(ops_, g, state.personal);  // its memory is free between steps
      any_personal = true;
    } else {
      ops_.zero(eligible_.of(g), layout_.words() * sizeof(Word));
    }
  }
  if (any_personal)
    ops_.unpack(active(), layout_.padded_size(), gradient(), eligible_.view(), target.view());
}

ops::ConstValues ClientGroup::start() {
  if (!start_present_) {
    const PhaseClock::Scope timed(clock_, Phase::store);
    if (start_.empty()) start_ = {ops_, static_cast<int>(active_.size()), layout_.padded_size()};
    fetch(start_);
    start_present_ = true;
  }
  return start_.view();
}

void ClientGroup::save(ClientStore& store) {
  const PhaseClock::Scope timed(clock_, Phase::store);
  std::vector<std::size_t> counts(clients_.size());
  ops_.pack(active(), layout_.padded_size(), parameters(), mask(), gradient(), counts);
  for (int g = 0; g < size(); ++g) {
    const auto i = static_cast<std::size_t>(g);
    if (diverged(g)) continue;
    ClientState& state = store.state(clients_[i]);
    if (rule_[i] == nullptr && counts[i] > 0) {
      std::vector<Word> words(layout_.words());
      mask_.download(ops_, g, std::span(words));
      rule_[i] = std::make_shared<const Mask>(std::move(words));
    }
    state.mask = counts[i] > 0 ? rule_[i] : nullptr;
    if (state.personal.size() != counts[i]) state.personal = std::vector<float>(counts[i]);
    gradient_.download(ops_, g, std::span(state.personal));
    if (mask_proposed_[i] != 0) {
      std::vector<Word> words(layout_.words());
      next_mask_.download(ops_, g, std::span(words));
      state.next_mask = std::make_shared<const Mask>(std::move(words));
    } else {
      state.next_mask = nullptr;
    }
    state.vectors.resize(vectors_.size());
    for (std::size_t v = 0; v < vectors_.size(); ++v) {
      if (!vectors_[v].changed) continue;
      state.vectors[v].resize(layout_.padded_size());
      vectors_[v].values.download(ops_, g, std::span(state.vectors[v]));
    }
  }
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

void ClientGroup::check_finite() {
  std::fill(norms_.begin(), norms_.end(), 0);
  ops_.squared_norm(active(), layout_.ranges(), parameters(), norms_);
  for (int g = 0; g < size(); ++g)
    if (!std::isfinite(norms_[static_cast<std::size_t>(g)])) mark_diverged(g);
}

void ClientGroup::keep_top(double rate, SelectionScope scope) {
  const PhaseClock::Scope timed(clock_, Phase::select);
  check_finite();
  const auto ranges = selection_ranges(scope);
  const auto counts = std::span(take_).first(clients_.size() * ranges.size());
  ops_.count_bits(active(), ranges, mask(), counts);
  for (auto& count : counts)
    count = static_cast<std::int64_t>(std::nearbyint(rate * static_cast<double>(count)));
  ops_.change_magnitude(active(), layout_.padded_size(), parameters(), start(), gradient());
  ops_.select_top(active(), ranges, counts, ops::Ties::exact, false, gradient(), mask(),
                  mask_.view());
  std::fill(rule_.begin(), rule_.end(), nullptr);
  std::fill(mask_changed_.begin(), mask_changed_.end(), 1);
  recount();
}

void ClientGroup::grow_mask(const Growth& growth, const MaskPtr& eligible,
                            ops::ConstValues reference) {
  const PhaseClock::Scope timed(clock_, Phase::select);
  check_finite();
  const auto ranges = selection_ranges(growth.scope);
  const auto counts = std::span(take_).first(clients_.size() * ranges.size());
  for (int g = 0; g < size(); ++g) eligible_.upload(ops_, g, eligible->words());
  ops_.count_bits(active(), ranges, eligible_.view(), counts);
  const std::vector<std::int64_t> allowed(counts.begin(), counts.end());
  ops_.bits_and_not(active(), layout_.words(), eligible_.view(), mask(), eligible_.view());
  ops_.count_bits(active(), ranges, eligible_.view(), counts);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    // Tensors whose indices may not be personal have nothing allowed and nothing free.
    const auto free = static_cast<double>(counts[i]);
    const auto all = static_cast<double>(allowed[i]);
    const double personal = all - free;
    double take = growth.ties == ops::Ties::exact ? std::nearbyint(growth.rate * free)
                                                  : free - std::nearbyint((1 - growth.rate) * free);
    if (growth.clamp)
      take = std::clamp(take, 0.0, std::max(0.0, std::floor(growth.limit * all + 1e-9) - personal));
    else if (personal > growth.limit * all)
      take = 0;
    counts[i] = static_cast<std::int64_t>(take);
  }
  ops_.change_magnitude(active(), layout_.padded_size(), parameters(), reference, gradient());
  const bool skip_zero = growth.ties == ops::Ties::exact;
  ops_.select_top(active(), ranges, counts, growth.ties, skip_zero, gradient(), eligible_.view(),
                  eligible_.view());
  ops_.bits_or(active(), layout_.words(), mask(), eligible_.view(), next_mask_.view());
  // A client whose mask grew by nothing, as at the limit, proposes nothing and sends no mask.
  ops_.count_bits(active(), ranges, eligible_.view(), counts);
  for (std::size_t g = 0; g < clients_.size(); ++g) {
    const auto grown = counts.subspan(g * ranges.size(), ranges.size());
    const bool grew = std::any_of(grown.begin(), grown.end(), [](auto n) { return n > 0; });
    mask_proposed_[g] = mask_changed_[g] = static_cast<char>(grew);
  }
}

void ClientGroup::rewind() {
  const ops::ConstValues begin = start();
  for (int g = 0; g < size(); ++g) {
    ops_.copy(theta_.of(g), begin[g], layout_.padded_size() * sizeof(float));
    if (!velocity_.empty()) ops_.zero(velocity_.of(g), layout_.padded_size() * sizeof(float));
  }
}

ops::ConstValues ClientGroup::vector(std::size_t index) {
  KeptVector& vector = vectors_[index];
  if (!vector.present) {
    const PhaseClock::Scope timed(clock_, Phase::store);
    for (int g = 0; g < size(); ++g) {
      const auto& kept = store_->state(clients_[static_cast<std::size_t>(g)]).vectors;
      if (index < kept.size() && !kept[index].empty())
        vector.values.upload(ops_, g, kept[index]);
      else if (vector.start == VectorStart::initial_model)
        vector.values.upload(ops_, g, initial_);
      else
        ops_.zero(vector.values.of(g), layout_.padded_size() * sizeof(float));
    }
    vector.present = true;
  }
  return vector.values.view();
}

void ClientGroup::remember(std::size_t index) {
  KeptVector& vector = vectors_[index];
  for (int g = 0; g < size(); ++g)
    ops_.copy(vector.values.of(g), theta_.of(g), layout_.padded_size() * sizeof(float));
  vector.present = vector.changed = true;
}

ops::Values ClientGroup::velocity() {
  if (velocity_.empty())
    velocity_ = {ops_, static_cast<int>(active_.size()), layout_.padded_size()};
  return velocity_.view();
}

std::int64_t ClientGroup::personal(int g) const {
  const auto tensors = layout_.tensors().size();
  const auto first = personal_counts_.begin() +
                     static_cast<std::ptrdiff_t>(g) * static_cast<std::ptrdiff_t>(tensors);
  return std::accumulate(first, first + static_cast<std::ptrdiff_t>(tensors), std::int64_t{0});
}

void ClientGroup::recount() {
  ops_.count_bits(active(), layout_.ranges(), mask(),
                  std::span(personal_counts_).first(clients_.size() * layout_.tensors().size()));
}

std::span<const ops::Range> ClientGroup::selection_ranges(SelectionScope scope) const {
  if (scope == SelectionScope::global) return {&everything_, 1};
  return layout_.ranges();
}

}  // namespace fedselect
