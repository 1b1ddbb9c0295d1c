#include "fed/methods.hpp"
#include "fed/methods/fedavg.hpp"

namespace fedselect {

namespace {

/// FedAvg whose steps are corrected by control variates: c_k estimates the client's gradient, c the
/// mean of all. Source: Karimireddy et al., ICML 2020, algorithm 1, option II.
class Scaffold final : public FedAvg {
 public:
  Scaffold() : FedAvg(Weighting::uniform) {}
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.real("global_lr", global_rate_, kPositive, "step of the server towards the mean");
  }
  std::string conflict(const TrainConfig& train, const ServerConfig& server) const override {
    if (!train.optimizer.is_plain())
      return "scaffold's control variates are gradients only under plain SGD: set train.optimizer "
             "= \"sgd\" without momentum";
    if (server.optimizer != ServerOptimizer::average)
      return "scaffold has a server step of its own (global_lr): remove server.optimizer";
    return {};
  }

  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    const ops::ConstValues w = clients.start();
    const ops::ConstValues c = clients.server_vector(0);
    const ops::Values own = clients.changed_vector(0);
    trainer.passes(passes, [&](LocalStep& step) {
      step.gradient();
      clients.combine(1, clients.gradient(), 1, c, clients.gradient());
      clients.combine(1, clients.gradient(), -1, own, clients.gradient());
      step.descend();
    });
    // change = c_k+ - c_k = (w - theta) / (T eta) - c
    std::vector<double> slope;
    for (const int steps : trainer.steps())
      slope.push_back(1 / (std::max(steps, 1) * trainer.rate()));
    std::vector<double> minus_slope(slope);
    for (double& value : minus_slope) value = -value;
    const ops::Values change = clients.contribution(0);
    clients.combine(slope, w, minus_slope, clients.parameters(), change);
    clients.combine(1, change, -1, c, change);
    clients.combine(1, own, 1, change, own);
  }
  void merge(Server& server, double cohort_share) const override {
    server.move_to_mean(global_rate_);
    server.add_mean(0, cohort_share, 0);
  }
  Belongings belongings() const override {
    return {.vectors = {VectorKind::from_zero}, .contributions = 1};
  }
  int server_vectors() const override { return 1; }

 private:
  double global_rate_ = 1;
};

}  // namespace

std::unique_ptr<Algorithm> make_scaffold() { return std::make_unique<Scaffold>(); }

}  // namespace fedselect
