#include "fed/methods/fedavg.hpp"

#include "fed/methods.hpp"

namespace fedselect {

namespace {

/// FedAvg whose clients train F more passes before they are tested; the global model is unchanged.
/// Source: Cheng et al., arXiv 2108.07313.
class FedAvgFineTuned final : public FedAvg {
 public:
  void describe(Fields& fields) override {
    FedAvg::describe(fields);
    fields.integer("fine_tune_passes", fine_tune_passes_, kCount, "F: passes before a test");
  }
  TestedOn tested_on() const override { return TestedOn::personalised; }
  void before_test(ClientGroup& /*clients*/, Trainer& trainer) const override {
    trainer.passes(fine_tune_passes_, Scope::all);
  }

 private:
  std::int64_t fine_tune_passes_ = 5;
};

}  // namespace

std::unique_ptr<Algorithm> make_fedavg() { return std::make_unique<FedAvg>(); }
std::unique_ptr<Algorithm> make_fedavg_ft() { return std::make_unique<FedAvgFineTuned>(); }

}  // namespace fedselect
