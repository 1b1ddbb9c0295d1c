#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"

namespace fedselect {

namespace {

/// The layers that the user names are personal. Source: Pillutla et al., ICML 2022.
class PartialPersonalization : public PersonalLayers {
 public:
  void describe(Fields& fields) override {
    PersonalLayers::describe(fields);
    fields.texts("personal", layers_,
                 "personal layers: names such as \"conv1\" or \"layer4\", \"head\" for the last");
  }
  void prepare(const ParameterLayout& layout) override {
    for (const std::string& name : layers_) {
      const auto& tensors = layout.tensors();
      const auto named = [&](const Tensor& tensor) { return belongs(layout, tensor, name); };
      if (std::none_of(tensors.begin(), tensors.end(), named))
        throw InputError(fmt::format(
            "personal = [\"{}\"]: the network has no such layer (its tensors begin with \"{}\" and "
            "end with \"{}\"): name one of its layers, or \"head\"",
            name, tensors.front().name, tensors.back().name));
    }
    PersonalLayers::prepare(layout);
  }

 protected:
  bool is_personal(const ParameterLayout& layout, const Tensor& tensor) const override {
    return std::any_of(layers_.begin(), layers_.end(),
                       [&](const std::string& name) { return belongs(layout, tensor, name); });
  }

 private:
  static bool belongs(const ParameterLayout& layout, const Tensor& tensor,
                      const std::string& name) {
    if (name == "head") return tensor.layer == layout.head();
    return tensor.name.starts_with(name + ".");
  }

  std::vector<std::string> layers_{"head"};
};

/// P passes on the personal part, then P on the shared one. Algorithm 3 of the source.
class FedAlt final : public PartialPersonalization {
 public:
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes, Scope::personal);
    trainer.refresh_optimizers();
    trainer.passes(passes, Scope::shared);
  }
};

/// Both parts at once. Algorithm 2 of the source.
class FedSim final : public PartialPersonalization {
 public:
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes, Scope::all);
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedalt() { return std::make_unique<FedAlt>(); }
std::unique_ptr<Algorithm> make_fedsim() { return std::make_unique<FedSim>(); }

}  // namespace fedselect
