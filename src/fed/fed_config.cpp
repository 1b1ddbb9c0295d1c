#include "fed/fed_config.hpp"

#include <cmath>
#include <numbers>

namespace fedselect {

namespace {

constexpr Interval kWhole{.low = 0, .high = kCount.high};
constexpr Interval kDecay{.low = 0, .high = 1, .open_high = true};
constexpr Interval kPadding{.low = 0, .high = 1000};
constexpr std::string_view kSgdOnly = "means something with optimizer = \"sgd\" only: remove it";
constexpr std::string_view kAdamOnly = "means something with optimizer = \"adam\" only: remove it";

}  // namespace

void describe(TrainConfig& config, Fields& fields) {
  fields.integer("passes", config.passes, kCount, "passes over a client's own data in a round");
  fields.integer("batch", config.batch, kCount, "samples of one step");
  fields.real("lr", config.lr, kPositive, "learning rate");
  OptimizerConfig& optimizer = config.optimizer;
  fields.choice("optimizer", optimizer.kind, kLocalOptimizerNames, "of local training");
  const bool is_sgd = optimizer.kind == OptimizerKind::sgd;
  fields.applies(is_sgd, "momentum", kSgdOnly);
  fields.real("momentum", optimizer.momentum, kDecay, "sgd: momentum");
  fields.applies(!is_sgd, "beta1", kAdamOnly);
  fields.real("beta1", optimizer.beta1, kDecay, "adam: decay of the first moment");
  fields.applies(!is_sgd, "beta2", kAdamOnly);
  fields.real("beta2", optimizer.beta2, kDecay, "adam: decay of the second moment");
  fields.applies(!is_sgd, "epsilon", kAdamOnly);
  fields.real("epsilon", optimizer.epsilon, kPositive, "adam: added to the denominator");
  fields.real("weight_decay", optimizer.weight_decay, kNonNegative,
              "weight decay, part of the gradient");
  fields.real("grad_clip", config.grad_clip, kNonNegative,
              "largest norm over all gradients; 0 = off");
  fields.choice("schedule", config.schedule, kScheduleNames, "how lr follows the rounds");
  fields.applies(config.schedule == Schedule::step, "lr_every",
                 "means something with schedule = \"step\" only: remove it");
  fields.integer("lr_every", config.lr_every, kCount, "step: rounds between changes");
  fields.applies(config.schedule == Schedule::step, "lr_factor",
                 "means something with schedule = \"step\" only: remove it");
  fields.real("lr_factor", config.lr_factor, kPositiveFraction, "step: multiplies the rate");
  fields.applies(config.schedule == Schedule::cosine, "lr_final",
                 "means something with schedule = \"cosine\" only: remove it");
  fields.real("lr_final", config.lr_final, kNonNegative, "cosine: rate towards which it falls");
  fields.integer("warmup", config.warmup, kNonNegative,
                 "rounds over which the rate rises to what the schedule says");
  fields.flag("shuffle", config.shuffle, "draw a new order of the samples for every pass");
  fields.integer("crop_padding", config.augmentation.crop_padding, kPadding,
                 "training shows a random crop of each image with so many black pixels around it");
  fields.flag("flip", config.augmentation.flip,
              "training shows each image or its mirror image, left for right, at random");
  fields.choice("on_divergence", config.on_divergence, kOnDivergenceNames,
                "a client whose loss or weights stop being finite is left out, or ends the run");
}

double learning_rate(const TrainConfig& config, int t, int rounds) {
  double rate = config.lr;
  if (config.schedule == Schedule::step)
    for (std::int64_t i = config.lr_every; i <= t; i += config.lr_every) rate *= config.lr_factor;
  if (config.schedule == Schedule::cosine)
    rate = config.lr_final +
           (config.lr - config.lr_final) * (1 + std::cos(std::numbers::pi * t / rounds)) / 2;
  if (t < config.warmup) rate *= static_cast<double>(t + 1) / static_cast<double>(config.warmup);
  return rate;
}

void describe(ServerConfig& config, Fields& fields) {
  fields.choice("optimizer", config.optimizer, kServerOptimizerNames,
                "how the global model follows the clients' mean: taken as it is, FedAvgM, FedAdam, "
                "FedYogi");
  const bool is_average = config.optimizer == ServerOptimizer::average;
  const bool is_adaptive =
      config.optimizer == ServerOptimizer::adam || config.optimizer == ServerOptimizer::yogi;
  constexpr std::string_view kAdaptiveOnly =
      "means something with optimizer = \"adam\" or \"yogi\" only: remove it, or set one";
  fields.applies(!is_average, "lr", "means nothing with optimizer = \"average\": remove it");
  fields.real("lr", config.lr, kPositive, "server learning rate");
  fields.applies(config.optimizer == ServerOptimizer::momentum, "momentum",
                 "means something with optimizer = \"momentum\" only: remove it, or set that");
  fields.real("momentum", config.momentum, kDecay, "momentum: decay of the velocity");
  fields.applies(is_adaptive, "beta1", kAdaptiveOnly);
  fields.real("beta1", config.beta1, kDecay, "adam, yogi: decay of the first moment");
  fields.applies(is_adaptive, "beta2", kAdaptiveOnly);
  fields.real("beta2", config.beta2, kDecay, "adam, yogi: decay of the second moment");
  fields.applies(is_adaptive, "epsilon", kAdaptiveOnly);
  fields.real("epsilon", config.epsilon, kPositive, "adam, yogi: degree of adaptivity");
  fields.choice("merge", config.merge, kMergeNames,
                "what the server makes of the clients' values at an index; median and trimmed-mean "
                "count each client once, whatever its weighting, and need room for all uploads of "
                "a cohort");
  fields.applies(config.merge == Merge::trimmed_mean, "trim",
                 "means something with merge = \"trimmed-mean\" only: remove it, or set that");
  fields.real("trim", config.trim, {.low = 0, .high = 0.5, .open_high = true},
              "trimmed-mean: fraction of the values that is cut off at either end");
  fields.real("clip_norm", config.clip_norm, kNonNegative,
              "longest change of the shared parameters that a client may bring, by its Euclidean "
              "norm: a longer one is shortened; 0 = off");
}

void describe(FederationConfig& config, Fields& fields) {
  fields.real("participation", config.participation, kPositiveFraction,
              "fraction of the clients that a round's cohort has");
  fields.choice("sampling", config.sampling, kSamplingNames,
                "a new cohort every round, or one for the whole run");
  fields.integer("new_clients", config.new_clients, kWhole,
                 "this many clients, the partition's last, never take part: they are tested after "
                 "the last round, before and after training on their own");
}

void describe(EvaluateConfig& config, Fields& fields) {
  fields.integer("every", config.every, kCount, "rounds between evaluations");
  fields.integer("batch", config.batch, kCount, "samples of one forward pass");
  fields.real("target", config.target, kFraction,
              "mean accuracy whose cost in rounds, bytes and gradients is reported; 0 = off");
  fields.flag("cross", config.cross,
              "after the last round test every client's model on every client's samples");
  fields.integer("new_client_passes", config.new_client_passes, kCount,
                 "passes over its own data that a new client trains between its two tests");
}

}  // namespace fedselect
