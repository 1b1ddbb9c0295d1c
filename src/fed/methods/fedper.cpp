#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"

namespace fedselect {

namespace {

/// Body and head train together. Source: Arivazhagan et al., arXiv 1912.00818, algorithm 1.
class FedPer final : public PersonalHead {
 public:
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes, Scope::all);
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedper() { return std::make_unique<FedPer>(); }

}  // namespace fedselect
