#include "fed/methods.hpp"

namespace fedselect {

namespace {

/// Everything is personal: P passes on the client's own model, nothing is ever sent.
class Local final : public Algorithm {
 public:
  void describe(Fields& /*fields*/) override {}
  void prepare(const ParameterLayout& layout) override {
    everything_ = Mask::of_tensors(layout, [](const Tensor&) { return true; });
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(everything_);
    trainer.passes(passes, Scope::all);
  }

 private:
  MaskPtr everything_;
};

}  // namespace

std::unique_ptr<Algorithm> make_local() { return std::make_unique<Local>(); }

}  // namespace fedselect
