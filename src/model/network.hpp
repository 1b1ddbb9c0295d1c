#pragma once

#include <cstdint>

#include "base/aligned.hpp"
#include "model/model_config.hpp"
#include "model/network_graph.hpp"

namespace fedselect {

/// A network: its steps, and how their tensors lie in the parameter vector. Holds no values. The
/// networks are described in docs/networks.md.
class Network {
 public:
  /// Throws KeyError if the image is too small for the network.
  Network(const ModelConfig& config, const ops::ImageShape& image, int classes);

  const ParameterLayout& layout() const { return graph_.layout; }
  const NetworkGraph& graph() const { return graph_; }
  const ops::ImageShape& image() const { return image_; }
  int classes() const { return classes_; }
  /// Values a sample that the last step, the head, reads.
  std::size_t features() const { return graph_.value_sizes[graph_.steps.back().in]; }
  /// Whether forward passes in training change the parameter vector (batch norm).
  bool has_statistics() const { return !layout().statistics().empty(); }

  /// The initialisation of PyTorch's modules and torchvision's ResNets, drawn from streams of our
  /// own; running means 0, running variances 1. Length padded_size().
  AlignedVector<float> initial_parameters(std::uint64_t seed) const;

  /// Multiply-adds x 2 of one sample's forward pass, and of its forward and backward pass: direct
  /// convolutions and linear layers, all else left out; no gradient by the input of the first
  /// layer. "Nominal" floating-point operations.
  double forward_flops() const { return graph_.forward_flops; }
  double training_flops() const { return graph_.training_flops; }

 private:
  ops::ImageShape image_;
  int classes_;
  NetworkGraph graph_;
};

}  // namespace fedselect
