#include "fed/methods.hpp"
#include "fed/methods/pruning.hpp"

namespace fedselect {

namespace {

/// A client prunes its smallest trained weights while the choice still moves between the first and
/// the last pass, and goes on from what it keeps. Source: Vahidian et al., ICDCSW 2021,
/// algorithm 1 (unstructured).
class SubFedAvg final : public Pruning {
 public:
  SubFedAvg() : Pruning(0.1, 0.5) {}
  void describe(Fields& fields) override {
    Pruning::describe(fields);
    fields.real("distance", distance_, kFraction,
                "fraction of the weights in which the two candidate masks must differ");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    trainer.passes(1, Scope::shared);
    clients.propose_pruning(0, rate(), prunable());
    trainer.passes(passes - 1, Scope::shared);
    clients.propose_pruning(1, rate(), prunable());
    auto who = ready(clients, trainer);
    for (int g = 0; g < clients.size(); ++g)
      if (clients.candidate_distance(g, prunable()) <= distance_)
        who[static_cast<std::size_t>(g)] = 0;
    clients.adopt_candidate(1, who);
    clients.clear_personal();
  }
  std::int64_t least_passes() const override { return 2; }

 private:
  double distance_ = 1e-4;
};

}  // namespace

std::unique_ptr<Algorithm> make_sub_fedavg() { return std::make_unique<SubFedAvg>(); }

}  // namespace fedselect
