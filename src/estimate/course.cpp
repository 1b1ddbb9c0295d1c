#include "estimate/course.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fed/assignment.hpp"
#include "fed/traffic.hpp"

namespace fedselect {

namespace {

std::vector<std::size_t> sizes_of(const std::vector<Partition::Indices>& split) {
  std::vector<std::size_t> sizes;
  for (const auto& indices : split) sizes.push_back(indices.size());
  return sizes;
}

std::int64_t personal_values(const ClientState& state) {
  return state.mask ? static_cast<std::int64_t>(state.mask->count()) : 0;
}

std::size_t personal_of(const ClientState& state, const Tensor& tensor) {
  if (!state.mask) return 0;
  return count_bits(state.mask->words().data() + tensor.range.begin / kWordBits, tensor.size());
}

/// Bits a parameter that a random mask of this density needs.
double entropy(double density) {
  if (density <= 0 || density >= 1) return 0;
  return -density * std::log2(density) - (1 - density) * std::log2(1 - density);
}

/// What a client's next turn depends on: how much of each tensor is personal, and what it keeps.
std::vector<std::size_t> amounts(const ClientState& state, const ParameterLayout& layout) {
  std::vector<std::size_t> amounts{state.personal.size(), state.scalars.size()};
  for (const auto& vector : state.vectors) amounts.push_back(vector.size());
  for (const Tensor& tensor : layout.tensors()) amounts.push_back(personal_of(state, tensor));
  return amounts;
}

}  // namespace

void Spread::add(std::int64_t value, bool is_first) {
  sum += value;
  least = is_first ? value : std::min(least, value);
  most = is_first ? value : std::max(most, value);
}

Course::Course(const SimulationSetup& setup, const Algorithm& algorithm,
               const ParameterLayout& layout, const Partition& partition, Rehearsal& rehearsal)
    : setup_(setup),
      algorithm_(algorithm),
      layout_(layout),
      partition_(partition),
      rehearsal_(rehearsal),
      faults_(setup.faults, setup.seed, sizes_of(partition.train)),
      state_of_(partition.clients(), 0),
      most_bytes_(partition.clients(), 0) {
  find_or_add({});
}

std::size_t Course::find_or_add(ClientState state) {
  const auto [at, is_new] = known_.emplace(amounts(state, layout_), states_.size());
  if (is_new) states_.push_back(std::move(state));
  return at->second;
}

double Course::mask_bits() const {
  std::vector<double> clients(states_.size(), 0);  // with each state
  for (const std::size_t number : state_of_) ++clients[number];
  double bits = 0;
  for (std::size_t s = 0; s < states_.size(); ++s)
    for (const Tensor& tensor : layout_.tensors()) {
      const auto size = static_cast<double>(tensor.size());
      bits += clients[s] * size *
              entropy(static_cast<double>(personal_of(states_[s], tensor)) / std::max(1.0, size));
    }
  return bits;
}

CourseRound Course::next() {
  CourseRound round;
  round.round = round_++;
  const auto cohort = draw_cohort(setup_.federation, setup_.seed, partition_.clients(), round.round,
                                  setup_.absences);
  std::map<std::size_t, std::pair<std::size_t, std::size_t>> turn_of_state;  // and the next state
  double personal = 0;
  for (const int client : cohort) {
    const auto k = static_cast<std::size_t>(client);
    const bool is_first = round.cohort++ == 0;
    if (!faults_.reports(client, round.round)) {
      round.bytes_up.add(0, is_first);
      round.bytes_down.add(bytes_to_client(layout_, algorithm_, personal_values(state(k))),
                           is_first);
      round.gradients.add(0, is_first);
      personal +=
          static_cast<double>(personal_values(state(k))) / static_cast<double>(layout_.size());
      continue;
    }
    const std::size_t before = state_of_[k];
    auto played = turn_of_state.find(before);
    if (played == turn_of_state.end()) {
      ClientState after = states_[before];
      round.turns.push_back(rehearsal_.play(round.round, after));
      const std::size_t next = find_or_add(std::move(after));
      played = turn_of_state.emplace(before, std::pair(round.turns.size() - 1, next)).first;
    }
    const auto [number, next] = played->second;
    const Turn& turn = round.turns[number];
    round.clients.push_back(client);
    round.turn_of.push_back(number);
    state_of_[k] = next;
    most_bytes_[k] = std::max(most_bytes_[k], turn.most_bytes);
    const double share = static_cast<double>(partition_.train[k].size()) /
                         static_cast<double>(rehearsal_.train_samples());
    round.bytes_up.add(turn.record.bytes_up, is_first);
    round.bytes_down.add(turn.record.bytes_down, is_first);
    round.gradients.add(std::llround(share * static_cast<double>(turn.record.gradients)), is_first);
    round.flops += share * turn.record.flops;
    personal += turn.personal_share;
  }
  if (!cohort.empty()) round.personal_share = personal / static_cast<double>(cohort.size());
  return round;
}

}  // namespace fedselect
