#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/buffer_plan.hpp"
#include "model/network.hpp"
#include "ops/device_array.hpp"

namespace fedselect {

/// A term of the loss that draws features, what the network's last step reads, towards a target of
/// the sample's class. Its gradient by the features: Ops::pull_to_class.
struct FeaturePull {
  ops::ConstValues targets = {};       ///< null: no such term
  std::span<const float> factor = {};  ///< one a client
};

/// The activations and gradients of a network for a group of clients: everything a step needs
/// besides the parameters. Allocated once.
///
/// Memory: all values of a training batch, or those of a test batch that are in use at the same
/// time, whichever is more; and the gradients by values that are in use at the same time.
class Activations {
 public:
  /// Room for `clients` clients with up to `train_batch` samples in training steps and `test_batch`
  /// in evaluation.
  Activations(ops::Ops& ops, const Network& network, int clients, int train_batch, int test_batch);

  /// Bytes of device memory that each client takes.
  static std::size_t bytes_per_client(const Network& network, int train_batch, int test_batch);

  /// Where the batch is put: images, channels-last, and labels. The images last until the next
  /// forward pass has begun.
  ops::Values images() const { return values_.view(); }
  ops::Grouped<std::int32_t> labels() const { return labels_.view(); }

  /// Fills the activations, ending with the logits. In training, running statistics in theta move;
  /// in evaluation theta is only read.
  void forward(const ops::Group& group, ops::Values theta, Mode mode);
  /// Adds loss and hits of what forward() left to the sums.
  void measure(const ops::Group& group, const ops::LossSums& sums);
  /// The same of what forward() in training left, and the gradients of the tensors that are
  /// `wanted` (one flag a tensor, at least one set). Steps on which none of those depends are not
  /// visited; the gradient of an unwanted tensor is unspecified. `pull` adds to the gradients, not
  /// to the loss.
  void backward(const ops::Group& group, ops::ConstValues theta, std::span<const char> wanted,
                ops::Values gradient, const ops::LossSums& sums, const FeaturePull& pull = {});
  /// What the last step read of the images in the forward pass before: Network::features() values a
  /// sample.
  ops::Values features() const { return value(network_.graph().steps.back().in); }

 private:
  /// Which steps a backward pass visits, and which of them have to hand gradients on.
  void mark_visits(std::span<const char> wanted);
  ops::Values value(std::size_t number) const;
  ops::Values logits() const { return value(network_.graph().value_sizes.size() - 1); }
  /// A gradient by a value; null for none.
  ops::Values flow(std::size_t number) const;
  LayerBuffers buffers(std::size_t step) const;

  /// What a backward pass does at a step.
  struct Visit {
    bool trains = false;    ///< own tensors are wanted
    bool hands_on = false;  ///< the input depends on wanted tensors
  };

  ops::Ops& ops_;
  const Network& network_;
  Mode mode_ = Mode::training;  ///< of the last forward pass
  MemoryPlan training_plan_, evaluation_plan_;
  BackwardPlan backward_plan_;
  ops::DeviceArray<float> values_;
  std::vector<ops::DeviceArray<std::uint8_t>> marks_;  ///< one a step
  std::vector<ops::DeviceArray<float>> kept_;          ///< one a step
  ops::DeviceArray<std::int32_t> labels_;
  ops::DeviceArray<float> flows_;
  std::vector<Visit> visits_;  ///< one a step
  std::vector<char> depends_;  ///< one a value: on wanted tensors, as far as visited
};

}  // namespace fedselect
