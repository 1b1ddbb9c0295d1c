#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"

namespace fedselect {

namespace {

/// Only the body trains, under a head that keeps its first values; before a test body and head are
/// fine-tuned together. Source: Oh et al., ICLR 2022, algorithm 1.
class FedBabu final : public PersonalHead {
 public:
  void describe(Fields& fields) override {
    PersonalHead::describe(fields);
    fields.integer("fine_tune_passes", fine_tune_passes_, kCount, "F: passes before a test");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes, Scope::shared);
  }
  TestedOn tested_on() const override { return TestedOn::personalised; }
  void before_test(ClientGroup& /*clients*/, Trainer& trainer) const override {
    trainer.passes(fine_tune_passes_, Scope::all);
  }

 private:
  std::int64_t fine_tune_passes_ = 5;
};

}  // namespace

std::unique_ptr<Algorithm> make_fedbabu() { return std::make_unique<FedBabu>(); }

}  // namespace fedselect
