#include <fmt/format.h>

#include "base/error.hpp"
#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"

namespace fedselect {

namespace {

/// The lower layers are personal, the last ones shared. Source: Liang et al., arXiv 2001.01523,
/// algorithm 1.
class LgFedAvg final : public PersonalLayers {
 public:
  void describe(Fields& fields) override {
    PersonalLayers::describe(fields);
    fields.integer("shared_layers", shared_layers_, kCount,
                   "layers with parameters that are shared, counted from the last");
  }
  void prepare(const ParameterLayout& layout) override {
    if (shared_layers_ >= layout.layers())
      throw InputError(fmt::format(
          "lg-fedavg: shared_layers = {}, but the network has {} layers with parameters, so "
          "nothing would be personal: set it to {} or less",
          shared_layers_, layout.layers(), layout.layers() - 1));
    PersonalLayers::prepare(layout);
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    trainer.passes(passes, Scope::all);
  }

 protected:
  bool is_personal(const ParameterLayout& layout, const Tensor& tensor) const override {
    return tensor.layer < layout.layers() - shared_layers_;
  }

 private:
  std::int64_t shared_layers_ = 1;
};

}  // namespace

std::unique_ptr<Algorithm> make_lg_fedavg() { return std::make_unique<LgFedAvg>(); }

}  // namespace fedselect
