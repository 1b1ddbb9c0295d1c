#pragma once

#include "fed/algorithm.hpp"

namespace fedselect {

/// What methods have in common whose personal part is a fixed set of tensors: the mask, and a key
/// for the weighting. A method of this kind is a rule and an order of passes.
class PersonalLayers : public Algorithm {
 public:
  void describe(Fields& fields) override {
    fields.choice("weighting", weighting_, kWeightingNames, "a client's weight in the mean");
  }
  void prepare(const ParameterLayout& layout) override {
    personal_ =
        Mask::of_tensors(layout, [&](const Tensor& tensor) { return is_personal(layout, tensor); });
  }
  Weighting weighting() const override { return weighting_; }

 protected:
  /// The rule.
  virtual bool is_personal(const ParameterLayout& layout, const Tensor& tensor) const = 0;
  const MaskPtr& personal() const { return personal_; }

 private:
  MaskPtr personal_;
  Weighting weighting_ = Weighting::samples;
};

/// The head is personal.
class PersonalHead : public PersonalLayers {
 protected:
  bool is_personal(const ParameterLayout& layout, const Tensor& tensor) const override {
    return tensor.layer == layout.head();
  }
};

}  // namespace fedselect
