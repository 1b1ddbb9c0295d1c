#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "model/layers.hpp"
#include "model/model_config.hpp"
#include "model/parameter_layout.hpp"
#include "ops/device_array.hpp"

namespace fedselect {

/// A network: its layers in order, and how their tensors lie in the parameter vector. Holds no
/// values.
///
/// `logistic`: fc, multinomial logistic regression. `mlp`: fc1 (hidden) - relu - fc2. `cnn`:
/// McMahan et al., AISTATS 2017: conv1 (32, 5x5, padding 2) - pool 2 - relu - conv2 (64, 5x5,
/// padding 2) - pool 2 - relu - fc1 (512) - relu - fc2. Pooling stands before the activation: the
/// same function, a quarter of the work.
class Network {
 public:
  /// Throws InputError if the image is too small for the network.
  Network(const ModelConfig& config, const ops::ImageShape& image, int classes);

  const ParameterLayout& layout() const { return layout_; }
  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }
  const ops::ImageShape& image() const { return image_; }
  int classes() const { return classes_; }

  /// PyTorch's default initialisation: weights and biases uniform in +-1/sqrt(fan in). Length
  /// padded_size().
  AlignedVector<float> initial_parameters(std::uint64_t seed) const;

  /// Multiply-adds x 2 of one sample's forward pass, and of its forward and backward pass (direct
  /// convolution; no gradient by the input of the first layer): "nominal" floating-point
  /// operations.
  double forward_flops() const { return forward_flops_; }
  double training_flops() const { return training_flops_; }

 private:
  void add_conv(const char* name, ops::ConvShape shape);
  void add_linear(const char* name, ops::LinearShape shape);
  void count_flops(double products);

  ops::ImageShape image_;
  int classes_;
  ParameterLayout layout_;
  std::vector<std::unique_ptr<Layer>> layers_;
  double forward_flops_ = 0;
  double training_flops_ = 0;
};

/// The activations and gradients of a network for a group of clients: everything a step needs
/// besides the parameters. Allocated once.
class Activations {
 public:
  /// Room for `clients` clients with up to `train_batch` samples in training steps and `test_batch`
  /// in forward passes.
  Activations(ops::Ops& ops, const Network& network, int clients, int train_batch, int test_batch);

  /// Where the batch is put: images, channels-last, and labels.
  ops::Values images() const { return values_.front().view(); }
  ops::Grouped<std::int32_t> labels() const { return labels_.view(); }

  /// Fills all activations, ending with the logits.
  void forward(const ops::Group& group, ops::ConstValues theta);
  /// Loss and hits of what forward() left; host spans, one entry a client.
  void measure(const ops::Group& group, std::span<double> loss, std::span<std::int32_t> correct);
  /// Loss of what forward() left, and the gradients of the tensors that are `wanted` (one flag a
  /// tensor, at least one set). Layers below the lowest of those are not visited; the gradient of
  /// an unwanted tensor is unspecified.
  void backward(const ops::Group& group, ops::ConstValues theta, std::span<const char> wanted,
                ops::Values gradient, std::span<double> loss, std::span<std::int32_t> correct);

 private:
  ops::Values logits() const { return values_.back().view(); }
  LayerBuffers buffers(std::size_t layer) const;

  ops::Ops& ops_;
  const Network& network_;
  /// values_[value_of_[i]] is the input of layer i; in-place layers share theirs with the next.
  std::vector<ops::DeviceArray<float>> values_;
  std::vector<std::size_t> value_of_;
  std::vector<ops::DeviceArray<std::uint8_t>> marks_;
  ops::DeviceArray<std::int32_t> labels_;
  ops::DeviceArray<float> flow_[2];  ///< gradients by activations, alternating
};

}  // namespace fedselect
