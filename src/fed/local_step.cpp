// The verbs of a method's own step.

#include <algorithm>

#include "fed/trainer.hpp"

namespace fedselect {

void LocalStep::look() {
  trainer_.take_training_batch(batch_, 0);
  trainer_.activations_.forward(trainer_.batch_group(), trainer_.clients_->parameters(),
                                Mode::training);
}

void LocalStep::gradient(int ahead) { trainer_.learn(batch_, ahead); }

void LocalStep::aligned_gradient(double lambda, ops::ConstValues targets) {
  trainer_.count_batch(trainer_.train_, trainer_.clients_->clients(), batch_,
                       static_cast<int>(trainer_.setup_.train.batch));
  const auto features = static_cast<double>(trainer_.network_.features());
  for (std::size_t g = 0; g < trainer_.used(); ++g)
    trainer_.pull_[g] =
        static_cast<float>(2 * lambda / (features * std::max(trainer_.batch_samples_[g], 1)));
  trainer_.learn(batch_, 0, {targets, trainer_.pull_});
}

void LocalStep::train() { trainer_.train(batch_, scope_); }

void LocalStep::descend() { descend(trainer_.clients_->parameters(), 0); }

void LocalStep::descend(ops::Values target, std::size_t slot) {
  trainer_.descend(target, slot, scope_);
}

void LocalStep::descend_plainly(double rate) {
  const ops::ConstValues scale = trainer_.limit_gradient();
  const ops::SgdRule rule{
      .rate = static_cast<float>(rate),
      .weight_decay = static_cast<float>(trainer_.setup_.train.optimizer.weight_decay)};
  trainer_.ops_.sgd_step(trainer_.batch_group(), trainer_.ranges_, rule, scale,
                         trainer_.clients_->parameters(), trainer_.clients_->gradient(), {}, {});
}

void LocalStep::pull(double lambda, ops::ConstValues anchor) {
  ClientGroup& clients = *trainer_.clients_;
  trainer_.ops_.add_proximal(clients.active(), clients.layout().parameter_span(),
                             static_cast<float>(lambda), clients.parameters(), anchor,
                             clients.gradient());
}

}  // namespace fedselect
