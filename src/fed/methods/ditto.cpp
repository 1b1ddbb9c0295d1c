#include "fed/methods.hpp"
#include "fed/methods/fedavg.hpp"

namespace fedselect {

namespace {

/// FedAvg, and beside it a second model v_k of each client's own, held to the global model w by
/// lambda / 2 |v - w|^2. Source: Li et al., ICML 2021, algorithm 1.
class Ditto final : public FedAvg {
 public:
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.real("lambda", lambda_, kNonNegative, "weight of the pull of v towards w");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    const ops::ConstValues w = clients.start();
    trainer.passes(passes, Scope::all);
    clients.exchange(kOwn);
    trainer.refresh_optimizers();
    trainer.passes(passes, [&](LocalStep& step) {
      step.gradient();
      step.pull(lambda_, w);
      step.descend();
    });
    clients.exchange(kOwn);
  }
  TestedOn tested_on() const override { return TestedOn::personalised; }
  void before_test(ClientGroup& clients, Trainer& /*trainer*/) const override {
    clients.exchange(kOwn);
  }
  Belongings belongings() const override { return {.vectors = {VectorKind::from_initial_model}}; }

 private:
  static constexpr std::size_t kOwn = 0;

  double lambda_ = 1;
};

}  // namespace

std::unique_ptr<Algorithm> make_ditto() { return std::make_unique<Ditto>(); }

}  // namespace fedselect
