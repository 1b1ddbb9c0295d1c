#include <algorithm>

#include "fed/methods.hpp"
#include "fed/methods/fedavg.hpp"

namespace fedselect {

namespace {

/// FedAvg, and beside it a second model v_k, trained where it is used: in the mixture a v_k + (1 -
/// a) w_k, whose a the client learns. Source: Deng et al., arXiv 2003.13461, algorithm 1.
class Apfl final : public FedAvg {
 public:
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.real("alpha", alpha_, kFraction, "a at first");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.changed_vector(kOwn);
    std::vector<double> a(clients.scalar(0).begin(), clients.scalar(0).end());
    std::vector<double> none(a.size(), 0);
    trainer.passes(passes, [&](LocalStep& step) {
      const ops::Values own = clients.changed_vector(kOwn);
      mix(clients, a);  // parameters: the mixture; scratch: w_k
      step.gradient();
      const std::vector<double> before = a;
      if (step.first()) learn_mixture(clients, trainer.rate(), a);
      clients.combine(before, clients.gradient(), none, clients.gradient(), clients.gradient());
      step.descend(own, 1);
      clients.copy_statistics(clients.parameters(), own);
      clients.exchange(kOther);
      step.gradient();
      step.descend();
    });
    std::copy(a.begin(), a.end(), clients.scalar(0).begin());
  }
  TestedOn tested_on() const override { return TestedOn::personalised; }
  void before_test(ClientGroup& clients, Trainer& /*trainer*/) const override {
    mix(clients, clients.scalar(0));
  }
  Belongings belongings() const override {
    return {.vectors = {VectorKind::from_initial_model, VectorKind::scratch}, .scalars = {alpha_}};
  }

 private:
  static constexpr std::size_t kOwn = 0;    ///< v_k
  static constexpr std::size_t kOther = 1;  ///< w_k while the parameters are the mixture

  /// The parameters become the mixture, and what they were stands in the other vector.
  static void mix(ClientGroup& clients, std::span<const double> a) {
    std::vector<double> rest;
    for (const double share : a) rest.push_back(1 - share);
    clients.combine(a, clients.vector(kOwn), rest, clients.parameters(),
                    clients.changed_vector(kOther));
    clients.exchange(kOther);
  }
  /// a <- clip(a - rate <v - w, gradient>).
  static void learn_mixture(ClientGroup& clients, double rate, std::vector<double>& a) {
    const auto along_v = clients.dot(clients.vector(kOwn), clients.gradient());
    const auto along_w = clients.dot(clients.vector(kOther), clients.gradient());
    for (std::size_t g = 0; g < a.size(); ++g)
      a[g] = std::clamp(a[g] - rate * (along_v[g] - along_w[g]), 0.0, 1.0);
  }

  double alpha_ = 0.5;
};

}  // namespace

std::unique_ptr<Algorithm> make_apfl() { return std::make_unique<Apfl>(); }

}  // namespace fedselect
