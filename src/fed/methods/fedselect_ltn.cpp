#include "fed/methods.hpp"

namespace fedselect {

namespace {

/// FedSelect of arXiv 2306.13264. Each round GradLTN searches the mask afresh: it starts with
/// everything personal and keeps, iteration by iteration, the fraction p that changed most;
/// LocalAlt then trains both halves by turns.
class FedSelectLtn final : public Algorithm {
 public:
  void describe(Fields& fields) override {
    fields.real("rate", rate_, kPositiveFraction,
                "personalization rate p: fraction kept by each iteration of GradLTN");
    fields.integer("iterations", iterations_, kCount, "L: trainings of GradLTN");
    fields.flag("rewind", rewind_, "LocalAlt starts from the round's starting weights");
    fields.choice("scope", scope_, kSelectionScopeNames, "fraction of each tensor or of all");
    fields.choice("norm_statistics", norm_statistics_, kNormStatisticsNames,
                  "running statistics of batch norm stay with the client, or are averaged");
    fields.choice("alternation", alternation_, kAlternationNames, "order of LocalAlt's passes");
    fields.choice("weighting", weighting_, kWeightingNames, "a client's weight in the mean");
    fields.choice("evaluate_at", evaluate_at_, kEvaluateAtNames, "which model is tested");
  }

  void prepare(const ParameterLayout& layout) override {
    everything_ = Mask::of_tensors(layout, [this](const Tensor& tensor) {
      return tensor.kind != TensorKind::statistic || norm_statistics_ == NormStatistics::local;
    });
  }

  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(everything_);
    for (std::int64_t i = 0; i < iterations_; ++i) {  // GradLTN
      if (i > 0) {
        clients.keep_top(rate_, scope_);
        trainer.rewind();
      }
      trainer.passes(passes, Scope::personal);
    }
    if (rewind_) trainer.rewind();
    trainer.alternate(passes, alternation_);  // LocalAlt
  }

  TestedOn tested_on() const override { return evaluate_at_; }
  Weighting weighting() const override { return weighting_; }

 private:
  double rate_ = 0.5;
  std::int64_t iterations_ = 5;
  bool rewind_ = true;
  SelectionScope scope_ = SelectionScope::tensor;
  Alternation alternation_ = Alternation::interleaved;
  Weighting weighting_ = Weighting::uniform;
  TestedOn evaluate_at_ = TestedOn::after_local;
  NormStatistics norm_statistics_ = NormStatistics::local;
  MaskPtr everything_;
};

}  // namespace

std::unique_ptr<Algorithm> make_fedselect_ltn() { return std::make_unique<FedSelectLtn>(); }

}  // namespace fedselect
