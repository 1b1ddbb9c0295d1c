#include <algorithm>

#include "base/error.hpp"
#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"

namespace fedselect {

namespace {

/// Norm layers are personal, with their running statistics. Source: Li et al., ICLR 2021,
/// algorithm 1.
class FedBn final : public PersonalLayers {
 public:
  void prepare(const ParameterLayout& layout) override {
    PersonalLayers::prepare(layout);
    const auto& tensors = layout.tensors();
    require(std::any_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return t.norm; }),
            "fedbn keeps norm layers personal, and this network has none: choose model.name = "
            "\"resnet8\" or another with norm layers, or another method");
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes, Scope::all);
  }

 protected:
  bool is_personal(const ParameterLayout& /*layout*/, const Tensor& tensor) const override {
    return tensor.norm;
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedbn() { return std::make_unique<FedBn>(); }

}  // namespace fedselect
