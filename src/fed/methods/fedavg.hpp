#pragma once

#include "fed/algorithm.hpp"

namespace fedselect {

/// Nothing is personal: P passes from the global model. Source: McMahan et al., AISTATS 2017,
/// algorithm 1.
class FedAvg : public Algorithm {
 public:
  explicit FedAvg(Weighting weighting = Weighting::samples) : weighting_(weighting) {}
  void describe(Fields& fields) override {
    fields.choice("weighting", weighting_, kWeightingNames, "a client's weight in the mean");
  }
  void client_step(ClientGroup& /*clients*/, Trainer& trainer, std::int64_t passes) const override {
    trainer.passes(passes, Scope::all);
  }
  Weighting weighting() const override { return weighting_; }

 private:
  Weighting weighting_;
};

}  // namespace fedselect
