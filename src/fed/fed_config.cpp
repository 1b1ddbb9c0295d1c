#include "fed/fed_config.hpp"

namespace fedselect {

void describe(TrainConfig& config, Fields& fields) {
  fields.integer("passes", config.passes, kCount, "passes over a client's own data in a round");
  fields.integer("batch", config.batch, kCount, "samples of one step");
  fields.real("lr", config.lr, kPositive, "learning rate");
  fields.real("momentum", config.momentum, {.low = 0, .high = 1, .open_high = true},
              "momentum of local SGD");
  fields.real("weight_decay", config.weight_decay, kNonNegative, "weight decay of local SGD");
  fields.real("grad_clip", config.grad_clip, kNonNegative,
              "largest norm over all gradients; 0 = off");
  fields.flag("shuffle", config.shuffle, "draw a new order of the samples for every pass");
  fields.choice("on_divergence", config.on_divergence, kOnDivergenceNames,
                "a client whose loss or weights stop being finite is left out, or ends the run");
}

void describe(FederationConfig& config, Fields& fields) {
  fields.real("participation", config.participation, kPositiveFraction,
              "fraction of the clients that a round's cohort has");
  fields.choice("sampling", config.sampling, kSamplingNames,
                "a new cohort every round, or one for the whole run");
}

void describe(EvaluateConfig& config, Fields& fields) {
  fields.integer("every", config.every, kCount, "rounds between evaluations");
  fields.integer("batch", config.batch, kCount, "samples of one forward pass");
}

}  // namespace fedselect
