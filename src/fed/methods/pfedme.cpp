#include "fed/methods.hpp"
#include "fed/methods/fedavg.hpp"

namespace fedselect {

namespace {

/// The personal model theta minimises f(theta) + lambda / 2 |theta - w_k|^2 by some steps on each
/// batch; the local model w_k follows it. Source: T Dinh et al., NeurIPS 2020, algorithm 1.
class PFedMe final : public FedAvg {
 public:
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.integer("inner_steps", inner_steps_, kCount, "K: steps of theta on each batch");
    fields.real("inner_lr", inner_rate_, kPositive, "learning rate of theta");
    fields.real("lambda", lambda_, kPositive, "weight of the pull of theta towards w_k");
    fields.real("beta", beta_, kPositiveFraction, "the server moves by beta towards the mean");
  }
  std::string conflict(const TrainConfig& train, const ServerConfig& server) const override {
    if (!train.optimizer.is_plain())
      return "pfedme's steps are those of plain SGD: set train.optimizer = \"sgd\" without "
             "momentum";
    if (server.optimizer != ServerOptimizer::average)
      return "pfedme has a server step of its own (beta): remove server.optimizer";
    return {};
  }

  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.remember(kOwn);  // w_k = theta = w
    const double follow = lambda_ * trainer.rate();
    trainer.passes(passes, [&](LocalStep& step) {
      const ops::Values w = clients.changed_vector(kOwn);
      for (std::int64_t i = 0; i < inner_steps_; ++i) {
        step.gradient();
        step.pull(lambda_, w);
        step.descend_plainly(inner_rate_);
      }
      clients.combine(1 - follow, w, follow, clients.parameters(), w);
    });
    clients.exchange(kOwn);  // w_k is shared, theta kept
  }
  void merge(Server& server, double /*cohort_share*/) const override { server.move_to_mean(beta_); }
  TestedOn tested_on() const override { return TestedOn::personalised; }
  void before_test(ClientGroup& clients, Trainer& /*trainer*/) const override {
    clients.exchange(kOwn);
  }
  Belongings belongings() const override { return {.vectors = {VectorKind::from_initial_model}}; }

 private:
  static constexpr std::size_t kOwn = 0;  ///< between rounds theta, within one w_k

  std::int64_t inner_steps_ = 5;
  double inner_rate_ = 0.05;
  double lambda_ = 15;
  double beta_ = 1;
};

}  // namespace

std::unique_ptr<Algorithm> make_pfedme() { return std::make_unique<PFedMe>(); }

}  // namespace fedselect
