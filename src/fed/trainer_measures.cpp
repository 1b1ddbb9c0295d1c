// What the trainer does without training: tests of models, and features by class.

#include <algorithm>

#include "base/pulse.hpp"
#include "fed/trainer.hpp"

namespace fedselect {

/// Runs the clients' samples forward, as they stand in the partition and in large batches, and
/// calls look(group) after each.
template <class Look>
void Trainer::look_through(const Split& split, std::span<const int> owners,
                           const PlacedSamples& placed, const Look& look) {
  const pulse::Work work(pulse::Kind::testing);
  std::fill(joins_.begin(), joins_.end(), 1);
  std::size_t most = 0;
  for (int g = 0; g < clients_->size(); ++g) {
    const auto& samples = split[static_cast<std::size_t>(owners[static_cast<std::size_t>(g)])];
    order_.upload(ops_, g, samples);
    most = std::max(most, samples.size());
  }
  for (std::size_t s = 0; s * static_cast<std::size_t>(setup_.test_batch) < most; ++s) {
    count_batch(split, owners, static_cast<int>(s), setup_.test_batch);
    gather_batch(static_cast<int>(s), setup_.test_batch, placed, {});
    const ops::Group group = batch_group();
    activations_.forward(group, clients_->parameters(), Mode::evaluation);
    look(group);
  }
}

std::span<const Tally> Trainer::test(std::span<const int> owners) {
  return measure(test_, owners, test_samples_);
}

std::vector<double> Trainer::validate() {
  std::vector<double> accuracy;
  for (const Tally& tally : measure(validation_, clients_->clients(), train_samples_))
    accuracy.push_back(tally.accuracy());
  return accuracy;
}

std::vector<ClassFeatures> Trainer::class_features() {
  const PhaseClock::Scope timed(clients_->clock(), phase_);
  const auto classes = static_cast<std::size_t>(network_.classes());
  const std::size_t size = classes * ClassFeatures::row(network_.features());
  if (class_sums_.empty()) class_sums_ = {ops_, static_cast<int>(training_.size()), size};
  for (int g = 0; g < clients_->size(); ++g) ops_.zero(class_sums_.of(g), size * sizeof(double));
  look_through(train_, clients_->clients(), train_samples_, [&](const ops::Group& group) {
    ops_.add_class_sums(group, network_.features(), activations_.features(), activations_.labels(),
                        class_sums_.view());
  });
  std::vector<ClassFeatures> features;
  for (int g = 0; g < clients_->size(); ++g) {
    std::vector<double> sums(size);
    class_sums_.download(ops_, g, std::span(sums));
    features.emplace_back(network_.features(), std::move(sums));
  }
  return features;
}

std::span<const Tally> Trainer::measure(const Split& split, std::span<const int> owners,
                                        const PlacedSamples& samples) {
  const PhaseClock::Scope timed(clients_->clock(), Phase::evaluate);
  std::fill(tested_.begin(), tested_.end(), Tally{});
  look_through(split, owners, samples, [&](const ops::Group& group) {
    activations_.measure(group, sums());
    for (std::size_t g = 0; g < used(); ++g) tested_[g].samples += group.samples[g];
  });
  take_sums(tested_);
  return {tested_.data(), used()};
}

}  // namespace fedselect
