#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

enum class OnDivergence { exclude, abort };
inline constexpr std::array<std::string_view, 2> kOnDivergenceNames{"exclude", "abort"};

/// The section [train]: local training, the same for every method.
struct TrainConfig {
  std::int64_t passes = 5;  ///< P (E in the FedSelect papers): passes a round
  std::int64_t batch = 32;  ///< samples of one step; the last of a pass may have fewer
  double lr = 0.05;
  double momentum = 0;
  double weight_decay = 0;
  double grad_clip = 0;  ///< largest Euclidean norm over all gradients; 0 = off
  bool shuffle = true;   ///< false: samples in the partition's order
  OnDivergence on_divergence = OnDivergence::exclude;
};

enum class Sampling { per_round, fixed };
inline constexpr std::array<std::string_view, 2> kSamplingNames{"per-round", "fixed"};

/// The section [federation]: who takes part.
struct FederationConfig {
  double participation = 1;  ///< K: a cohort is max(floor(K N), 1) clients
  Sampling sampling = Sampling::per_round;
};

/// The section [evaluate].
struct EvaluateConfig {
  std::int64_t every = 1;    ///< rounds between evaluations; the last round is always evaluated
  std::int64_t batch = 100;  ///< samples of one forward pass
};

void describe(TrainConfig& config, Fields& fields);
void describe(FederationConfig& config, Fields& fields);
void describe(EvaluateConfig& config, Fields& fields);

}  // namespace fedselect
