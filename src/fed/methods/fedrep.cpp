#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"

namespace fedselect {

namespace {

/// P - 1 passes on the head, then one on the body. Source: Collins et al., ICML 2021, algorithm 1.
class FedRep final : public PersonalHead {
 public:
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes - 1, Scope::personal);
    trainer.passes(1, Scope::shared);
  }
  std::int64_t least_passes() const override { return 2; }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedrep() { return std::make_unique<FedRep>(); }

}  // namespace fedselect
