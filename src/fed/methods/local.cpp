#include "fed/methods.hpp"

namespace fedselect {

namespace {

/// Everything is personal: P passes on the client's own model, nothing is ever sent.
class Local final : public Algorithm {
 public:
  void describe(Fields& /*fields*/) override {}
  std::string conflict(const TrainConfig& /*train*/, const ServerConfig& server) const override {
    if (server.optimizer == ServerOptimizer::average) return {};
    return "local clients send nothing for server.optimizer to work on: run this method without it";
  }
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
