#include "fed/methods.hpp"
#include "fed/methods/fedavg.hpp"

namespace fedselect {

namespace {

/// FedAvg whose clients are held to the global model w by mu / 2 |theta - w|^2. Source: Li et al.,
/// MLSys 2020, algorithm 2.
class FedProx final : public FedAvg {
 public:
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.real("mu", mu_, kNonNegative, "weight of the proximal term");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    const ops::ConstValues w = clients.start();
    trainer.passes(passes, [&](LocalStep& step) {
      step.gradient();
      step.pull(mu_, w);
      step.descend();
    });
  }

 private:
  double mu_ = 0.01;
};

}  // namespace

std::unique_ptr<Algorithm> make_fedprox() { return std::make_unique<FedProx>(); }

}  // namespace fedselect
