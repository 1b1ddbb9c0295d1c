#include "fed/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace fedselect {

Optimizer::Optimizer(ops::Ops& ops, const OptimizerConfig& config, int capacity, std::size_t size)
    : ops_(ops),
      config_(config),
      capacity_(capacity),
      size_(size),
      shared_steps_(static_cast<std::size_t>(capacity)),
      personal_steps_(static_cast<std::size_t>(capacity)),
      adam_steps_(static_cast<std::size_t>(capacity)) {}

void Optimizer::reset() {
  fresh_ = true;
  std::fill(shared_steps_.begin(), shared_steps_.end(), 0);
  std::fill(personal_steps_.begin(), personal_steps_.end(), 0);
}

void Optimizer::zero(ops::DeviceArray<float>& state) {
  if (state.empty()) {
    state = {ops_, capacity_, size_};
    return;
  }
  for (int g = 0; g < capacity_; ++g) ops_.zero(state.of(g), size_ * sizeof(float));
}

int Optimizer::moments() const {
  if (!has_equal_steps()) return 2;
  return config_.momentum > 0 ? 1 : 0;
}

void Optimizer::make_ready() {
  if (fresh_ && moments() > 0) zero(first_);
  if (fresh_ && moments() > 1) zero(second_);
  fresh_ = false;
}

std::vector<float> Optimizer::moment(int number) const {
  const auto& state = number == 0 ? first_ : second_;
  std::vector<float> values(state.empty() ? 0 : size_);
  if (!state.empty()) state.download(ops_, 0, std::span(values));
  return values;
}

void Optimizer::restore(std::span<const float> first, std::span<const float> second,
                        std::span<const std::int32_t> steps) {
  make_ready();
  if (!first.empty()) first_.upload(ops_, 0, first);
  if (!second.empty()) second_.upload(ops_, 0, second);
  shared_steps_[0] = steps[0];
  personal_steps_[0] = steps[1];
}

void Optimizer::step(const ops::Group& group, std::span<const ops::Range> ranges, double rate,
                     const OptimizerTarget& target) {
  if (!has_equal_steps()) return step_adam(group, ranges, rate, target);
  const ops::SgdRule rule{static_cast<float>(rate), static_cast<float>(config_.momentum),
                          static_cast<float>(config_.weight_decay), target.scope};
  ops_.sgd_step(group, ranges, rule, target.scale, target.theta, target.gradient,
                config_.momentum > 0 ? first_.view() : ops::Values{}, target.mask);
}

void Optimizer::step_adam(const ops::Group& group, std::span<const ops::Range> ranges, double rate,
                          const OptimizerTarget& target) {
  for (std::size_t g = 0; g < group.samples.size(); ++g) {
    if (group.samples[g] == 0) continue;
    if (target.scope != ops::Scope::personal) ++shared_steps_[g];
    if (target.scope != ops::Scope::shared) ++personal_steps_[g];
    const bool is_personal = target.scope == ops::Scope::personal;
    expect(target.scope != ops::Scope::all || shared_steps_[g] == personal_steps_[g],
           "a step on all indices follows steps on all, or none");
    const int t = is_personal ? personal_steps_[g] : shared_steps_[g];
    const double unbias1 = config_.bias_correction ? 1 - std::pow(config_.beta1, t) : 1;
    const double unbias2 = config_.bias_correction ? 1 - std::pow(config_.beta2, t) : 1;
    adam_steps_[g] = {static_cast<float>(rate / unbias1),
                      static_cast<float>(1 / std::sqrt(unbias2))};
  }
  const ops::AdamRule rule{.beta1 = static_cast<float>(config_.beta1),
                           .beta2 = static_cast<float>(config_.beta2),
                           .epsilon = static_cast<float>(config_.epsilon),
                           .weight_decay = static_cast<float>(config_.weight_decay),
                           .yogi = config_.kind == OptimizerKind::yogi,
                           .scope = target.scope};
  ops_.adam_step(group, ranges, rule, adam_steps_, target.scale, target.theta, target.gradient,
                 first_.view(), second_.view(), target.mask);
}

}  // namespace fedselect
