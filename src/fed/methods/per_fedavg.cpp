#include "fed/methods.hpp"
#include "fed/methods/fedavg.hpp"

namespace fedselect {

namespace {

/// Learns a model that is good after one step: the gradient is taken at theta - a g(b0), on a
/// second batch. First-order version. Source: Fallah et al., NeurIPS 2020, algorithm 1.
class PerFedAvg final : public FedAvg {
 public:
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.real("inner_lr", inner_rate_, kPositive, "a: learning rate of the step looked ahead");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    trainer.passes(
        passes,
        [&](LocalStep& step) {
          step.gradient();
          clients.remember(kBefore);
          step.descend_plainly(inner_rate_);
          step.gradient(1);
          clients.exchange(kBefore);
          clients.copy_statistics(clients.vector(kBefore), clients.parameters());
          step.descend();
        },
        2);
  }
  TestedOn tested_on() const override { return TestedOn::personalised; }
  void before_test(ClientGroup& /*clients*/, Trainer& trainer) const override {
    trainer.step_once(inner_rate_);
  }
  Belongings belongings() const override { return {.vectors = {VectorKind::scratch}}; }

 private:
  static constexpr std::size_t kBefore = 0;  ///< theta before the step looked ahead

  double inner_rate_ = 0.01;
};

}  // namespace

std::unique_ptr<Algorithm> make_per_fedavg() { return std::make_unique<PerFedAvg>(); }

}  // namespace fedselect
