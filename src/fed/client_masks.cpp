// The verbs of ClientGroup that decide which parameters are personal.

#include <algorithm>
#include <cmath>

#include "fed/client_group.hpp"

namespace fedselect {

void ClientGroup::keep_top(double rate, SelectionScope scope) {
  const PhaseClock::Scope timed(clock_, Phase::select);
  check_divergence();
  const auto ranges = selection_ranges(scope);
  const auto counts = std::span(take_).first(clients_.size() * ranges.size());
  ops_.count_bits(active(), ranges, mask(), counts);
  for (auto& count : counts)
    count = static_cast<std::int64_t>(std::nearbyint(rate * static_cast<double>(count)));
  // start() may use the gradient's memory: fetched first.
  const ops::ConstValues begin = start();
  ops_.change_magnitude(active(), layout_.parameter_span(), parameters(), begin, gradient());
  ops_.select_top(active(), ranges, counts, ops::Ties::exact, false, gradient(), mask(),
                  mask_.view());
  std::fill(rule_.begin(), rule_.end(), nullptr);
  std::fill(mask_chosen_.begin(), mask_chosen_.end(), 1);
  recount();
}

void ClientGroup::grow_mask(const Growth& growth, const MaskPtr& eligible,
                            ops::ConstValues reference) {
  const PhaseClock::Scope timed(clock_, Phase::select);
  check_divergence();
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
  ops_.change_magnitude(active(), layout_.parameter_span(), parameters(), reference, gradient());
  const bool skip_zero = growth.ties == ops::Ties::exact;
  ops_.select_top(active(), ranges, counts, growth.ties, skip_zero, gradient(), eligible_.view(),
                  eligible_.view());
  ops_.bits_or(active(), layout_.words(), mask(), eligible_.view(), next_mask_.view());
  // A client whose mask grew by nothing, as at the limit, proposes nothing and sends no mask.
  ops_.count_bits(active(), ranges, eligible_.view(), counts);
  for (std::size_t g = 0; g < clients_.size(); ++g) {
    const auto grown = counts.subspan(g * ranges.size(), ranges.size());
    const bool grew = std::any_of(grown.begin(), grown.end(), [](auto n) { return n > 0; });
    mask_proposed_[g] = mask_chosen_[g] = static_cast<char>(grew);
  }
}

bool ClientGroup::mask_changed(int g) const {
  const auto i = static_cast<std::size_t>(g);
  if (mask_chosen_[i] == 0) return false;
  if (mask_proposed_[i] != 0) return true;  // it grew
  std::vector<Word> words(layout_.words());
  mask_.download(ops_, g, std::span(words));
  const MaskPtr& before = store_->state(clients_[i]).mask;
  if (!before) return std::any_of(words.begin(), words.end(), [](Word word) { return word != 0; });
  return !std::equal(words.begin(), words.end(), before->words().begin());
}

void ClientGroup::propose_pruning(int i, double rate, const MaskPtr& prunable) {
  const PhaseClock::Scope timed(clock_, Phase::select);
  check_divergence();
  auto& candidate = candidates_[static_cast<std::size_t>(i)];
  if (candidate.empty()) candidate = {ops_, static_cast<int>(active_.size()), layout_.words()};
  const auto ranges = layout_.ranges();
  const auto counts = std::span(take_).first(clients_.size() * ranges.size());
  for (int g = 0; g < size(); ++g) eligible_.upload(ops_, g, prunable->words());
  ops_.bits_and_not(active(), layout_.words(), eligible_.view(), mask(), eligible_.view());
  ops_.count_bits(active(), ranges, eligible_.view(), counts);
  for (auto& count : counts)
    count -= static_cast<std::int64_t>(std::nearbyint(rate * static_cast<double>(count)));
  ops_.change_magnitude(active(), layout_.parameter_span(), parameters(), {}, gradient());
  for (int g = 0; g < size(); ++g) ops_.zero(next_mask_.of(g), layout_.words() * sizeof(Word));
  ops_.select_top(active(), ranges, counts, ops::Ties::exact, false, gradient(), eligible_.view(),
                  next_mask_.view());
  ops_.bits_and_not(active(), layout_.words(), eligible_.view(), next_mask_.view(),
                    candidate.view());
  ops_.bits_or(active(), layout_.words(), mask(), candidate.view(), candidate.view());
}

double ClientGroup::candidate_distance(int g, const MaskPtr& prunable) {
  const ops::ConstBits a = candidates_[0].view();
  const ops::ConstBits b = candidates_[1].view();
  std::int64_t differ = 0;
  for (const auto& [from, what] : {std::pair{a, b}, std::pair{b, a}}) {
    ops_.bits_and_not(active(), layout_.words(), from, what, eligible_.view());
    std::vector<std::int64_t> counts(clients_.size());
    ops_.count_bits(active(), {&everything_, 1}, eligible_.view(), counts);
    differ += counts[static_cast<std::size_t>(g)];
  }
  return static_cast<double>(differ) / static_cast<double>(prunable->count());
}

double ClientGroup::kept(int g, const MaskPtr& prunable) {
  for (int c = 0; c < size(); ++c) eligible_.upload(ops_, c, prunable->words());
  ops_.bits_and_not(active(), layout_.words(), eligible_.view(), mask(), eligible_.view());
  std::vector<std::int64_t> counts(clients_.size());
  ops_.count_bits(active(), {&everything_, 1}, eligible_.view(), counts);
  return static_cast<double>(counts[static_cast<std::size_t>(g)]) /
         static_cast<double>(prunable->count());
}

void ClientGroup::adopt_candidate(int i, std::span<const char> who) {
  for (int g = 0; g < size(); ++g) {
    const auto k = static_cast<std::size_t>(g);
    if (who[k] == 0) continue;
    ops_.copy(mask_.of(g), candidates_[static_cast<std::size_t>(i)].of(g),
              layout_.words() * sizeof(Word));
    rule_[k] = nullptr;
    mask_chosen_[k] = 1;
  }
  recount();
}

void ClientGroup::restart(std::span<const char> who) {
  for (int g = 0; g < size(); ++g)
    if (who[static_cast<std::size_t>(g)] != 0)
      theta_.upload(ops_, g, std::span<const float>(initial_));
}

void ClientGroup::clear_personal() {
  for (int g = 0; g < size(); ++g)
    ops_.zero(gradient_.of(g), layout_.padded_size() * sizeof(float));
  ops_.unpack(active(), layout_.padded_size(), gradient(), mask(), parameters());
}

std::span<const ops::Range> ClientGroup::selection_ranges(SelectionScope scope) const {
  if (scope == SelectionScope::global) return {&everything_, 1};
  return layout_.ranges();
}

}  // namespace fedselect
