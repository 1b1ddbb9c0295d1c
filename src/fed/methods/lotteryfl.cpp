#include "fed/methods.hpp"
#include "fed/methods/pruning.hpp"

namespace fedselect {

namespace {

/// A client that does well prunes its smallest weights and begins anew, with what it keeps, from
/// the initial model: the lottery ticket. Source: Li et al., SEC 2021, algorithm 1.
class LotteryFl final : public Pruning {
 public:
  LotteryFl() : Pruning(0.2, 0.3) {}
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    const auto who = ready(clients, trainer);
    clients.propose_pruning(0, rate(), prunable());
    clients.adopt_candidate(0, who);
    clients.restart(who);
    clients.clear_personal();
    trainer.passes(passes, Scope::shared);
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_lotteryfl() { return std::make_unique<LotteryFl>(); }

}  // namespace fedselect
