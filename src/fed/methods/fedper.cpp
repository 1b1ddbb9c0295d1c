#include "fed/methods.hpp"

namespace fedselect {

namespace {

/// The head is personal. A method of this kind is the order of its passes.
class PersonalHead : public Algorithm {
 public:
  void describe(Fields& fields) override {
    fields.choice("weighting", weighting_, kWeightingNames, "a client's weight in the mean");
  }
  void prepare(const ParameterLayout& layout) override {
    head_ = Mask::of_tensors(layout,
                             [&](const Tensor& tensor) { return tensor.layer == layout.head(); });
  }
  Weighting weighting() const override { return weighting_; }

 protected:
  const MaskPtr& head() const { return head_; }

 private:
  MaskPtr head_;
  Weighting weighting_ = Weighting::samples;
};

/// Body and head train together. Source: Arivazhagan et al., arXiv 1912.00818, algorithm 1.
class FedPer final : public PersonalHead {
 public:
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(head());
    trainer.passes(passes, Scope::all);
  }
};

/// P - 1 passes on the head, then one on the body. Source: Collins et al., ICML 2021, algorithm 1.
class FedRep final : public PersonalHead {
 public:
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(head());
    trainer.passes(passes - 1, Scope::personal);
    trainer.passes(1, Scope::shared);
  }
  std::int64_t least_passes() const override { return 2; }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedper() { return std::make_unique<FedPer>(); }
std::unique_ptr<Algorithm> make_fedrep() { return std::make_unique<FedRep>(); }

}  // namespace fedselect
