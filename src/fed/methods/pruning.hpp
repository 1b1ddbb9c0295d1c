#pragma once

#include "fed/algorithm.hpp"

namespace fedselect {

/// What methods have in common that prune: a pruned parameter is a personal one whose value is 0,
/// so what clients keep is what they share, and the mean takes it where it is kept.
class Pruning : public Algorithm {
 public:
  void describe(Fields& fields) override {
    fields.choice("weighting", weighting_, kWeightingNames, "a client's weight in the mean");
    fields.real("prune_rate", rate_, kPositiveFraction,
                "fraction of a tensor's kept weights that one pruning takes");
    fields.real("target", target_, kFraction, "pruning ends at this kept fraction of the weights");
    fields.real("accuracy_threshold", threshold_, kFraction,
                "only a client whose validation accuracy is above it prunes");
    fields.real("validation", validation_,
                Interval{.low = 0, .high = 1, .open_low = true, .open_high = true},
                "fraction of a client's training samples held back to measure that");
  }
  void prepare(const ParameterLayout& layout) override {
    prunable_ = Mask::of_tensors(layout, [](const Tensor& tensor) {
      return tensor.kind == TensorKind::weight && tensor.shape.size() > 1;
    });
  }
  Weighting weighting() const override { return weighting_; }
  double validation() const override { return validation_; }

 protected:
  Pruning(double rate, double target) : rate_(rate), target_(target) {}

  double rate() const { return rate_; }
  const MaskPtr& prunable() const { return prunable_; }
  /// The clients that are good enough, and keep enough, to prune.
  std::vector<char> ready(ClientGroup& clients, Trainer& trainer) const {
    std::vector<char> who;
    const auto accuracy = trainer.validate();
    for (int g = 0; g < clients.size(); ++g)
      who.push_back(static_cast<char>(accuracy[static_cast<std::size_t>(g)] > threshold_ &&
                                      clients.kept(g, prunable_) > target_));
    return who;
  }

 private:
  Weighting weighting_ = Weighting::samples;
  double rate_;
  double target_;
  double threshold_ = 0.5;
  double validation_ = 0.1;
  MaskPtr prunable_;
};

}  // namespace fedselect
