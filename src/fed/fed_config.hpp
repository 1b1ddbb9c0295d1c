#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/fields.hpp"
#include "fed/augmentation.hpp"
#include "fed/robust_merge.hpp"

namespace fedselect {

enum class OptimizerKind { sgd, adam, yogi };

/// How parameters move along a gradient.
struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::sgd;
  double momentum = 0;  ///< sgd
  double beta1 = 0.9;   ///< adam, yogi: decay of the first moment
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  bool bias_correction = true;

  /// theta <- theta - rate g, nothing else.
  bool is_plain() const { return kind == OptimizerKind::sgd && momentum == 0; }
};

enum class OnDivergence { exclude, abort };
inline constexpr std::array<std::string_view, 2> kOnDivergenceNames{"exclude", "abort"};

/// How the learning rate follows the rounds.
enum class Schedule { constant, step, cosine };
inline constexpr std::array<std::string_view, 3> kScheduleNames{"constant", "step", "cosine"};
inline constexpr std::array<std::string_view, 2> kLocalOptimizerNames{"sgd", "adam"};

/// The section [train]: local training, the same for every method.
struct TrainConfig {
  std::int64_t passes = 5;  ///< P (E in the FedSelect papers): passes a round
  std::int64_t batch = 32;  ///< samples of one step; the last of a pass may have fewer
  double lr = 0.05;
  OptimizerConfig optimizer;
  double grad_clip = 0;  ///< largest Euclidean norm over all gradients; 0 = off
  Schedule schedule = Schedule::constant;
  std::int64_t lr_every = 50;  ///< step: rounds between changes
  double lr_factor = 0.1;      ///< step: the rate is multiplied by it
  double lr_final = 0;         ///< cosine: rate towards which it falls
  std::int64_t warmup = 0;     ///< rounds over which the rate rises from lr / warmup
  bool shuffle = true;         ///< false: samples in the partition's order
  AugmentationConfig augmentation;
  OnDivergence on_divergence = OnDivergence::exclude;
};

/// The learning rate of round t of `rounds`: lr, lr * factor^floor(t / every), or final + (lr -
/// final) (1 + cos(pi t / rounds)) / 2; times (t + 1) / warmup while t < warmup.
double learning_rate(const TrainConfig& config, int t, int rounds);

/// How the server takes the clients' mean.
enum class ServerOptimizer { average, momentum, adam, yogi };
inline constexpr std::array<std::string_view, 4> kServerOptimizerNames{"average", "momentum",
                                                                       "adam", "yogi"};

/// The section [server]. Sources: FedAvgM, Hsu et al., arXiv 1909.06335; FedAdam and FedYogi,
/// Reddi et al., ICLR 2021 (no bias correction).
struct ServerConfig {
  ServerOptimizer optimizer = ServerOptimizer::average;
  double lr = 1;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double epsilon = 1e-3;  ///< tau: degree of adaptivity
  Merge merge = Merge::mean;
  double trim = 0.1;  ///< of trimmed_mean: fraction of the values cut off at either end
  /// Longest change that a client may bring, Euclidean; 0: any. Source: Sun et al., arXiv
  /// 1911.07963.
  double clip_norm = 0;
};

enum class Sampling { per_round, fixed };
inline constexpr std::array<std::string_view, 2> kSamplingNames{"per-round", "fixed"};

/// The section [federation]: who takes part.
struct FederationConfig {
  double participation = 1;  ///< K: a cohort is max(floor(K N), 1) of the N clients that take part
  Sampling sampling = Sampling::per_round;
  std::int64_t new_clients = 0;  ///< the last ones of the partition, which never take part

  /// How many of so many clients take part in training. Needs more clients than new ones.
  std::size_t taking_part(std::size_t clients) const {
    return clients - static_cast<std::size_t>(new_clients);
  }
};

/// The section [evaluate].
struct EvaluateConfig {
  std::int64_t every = 1;    ///< rounds between evaluations; the last round is always evaluated
  std::int64_t batch = 100;  ///< samples of one forward pass
  double target = 0;         ///< mean accuracy whose cost is reported; 0 = off
  bool cross = false;  ///< after the last round: every client's model on every client's samples
  std::int64_t new_client_passes = 5;  ///< passes of a new client before its second test
};

void describe(TrainConfig& config, Fields& fields);
void describe(ServerConfig& config, Fields& fields);
void describe(FederationConfig& config, Fields& fields);
void describe(EvaluateConfig& config, Fields& fields);

}  // namespace fedselect
