#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/network_graph.hpp"

namespace fedselect {

/// Writes a network down step by step, in the order of its forward pass and of PyTorch's
/// parameters. Names are those of PyTorch's modules.
class NetworkBuilder {
 public:
  /// An intermediate result. A vector is an image of one pixel.
  struct Value {
    std::size_t id;
    ops::ImageShape shape;
  };
  struct ConvForm {
    int channels;
    int kernel;
    int stride = 1;
    int padding = 0;
  };

  explicit NetworkBuilder(const ops::ImageShape& image);

  Value image() const { return {0, image_}; }

  /// Convolution with bias, initialised as torch.nn.Conv2d does: both uniform in +-1/sqrt(fan in).
  Value conv(const std::string& name, const Value& in, const ConvForm& form);
  /// Convolution without bias, initialised as torchvision's ResNets are: normal with deviation
  /// sqrt(2 / fan out). Source: He et al., ICCV 2015.
  Value plain_conv(const std::string& name, const Value& in, const ConvForm& form);
  /// torch.nn.Linear, with its initialisation: both uniform in +-1/sqrt(fan in).
  Value linear(const std::string& name, const Value& in, int out);
  /// torch.nn.BatchNorm2d: weight 1, bias 0, running mean 0, running variance 1.
  Value batch_norm(const std::string& name, const Value& in);
  /// torch.nn.GroupNorm: weight 1, bias 0.
  Value group_norm(const std::string& name, const Value& in, int groups);
  Value max_pool(const Value& in, int window, int stride = 0, int padding = 0);
  Value mean_pool(const Value& in);
  Value relu(const Value& in);
  Value flatten(const Value& in);
  /// branch + shortcut. `branch` is the value that the last norm or convolution before this made
  /// and nobody has read; it becomes the sum.
  Value join(const Value& branch, const Value& shortcut);

  /// The network; the value written last holds the logits. Ends the builder's use.
  NetworkGraph finish();

 private:
  using MakeLayer = std::function<std::unique_ptr<Layer>(const LayerTensors&)>;

  /// Notes a step that makes a new value, and the tensors that were added since the last step.
  Value step(const Value& in, const ops::ImageShape& out, MakeLayer make);
  Value step_in_place(const Value& in, const Value& out, MakeLayer make);
  void tensor(const std::string& name, std::vector<int> shape, TensorKind kind, TensorStart start,
              bool norm = false);
  void norm_tensors(const std::string& name, int channels);
  void count_products(double products);
  Value any_conv(const std::string& name, const Value& in, const ConvForm& form, bool bias,
                 TensorStart start);

  /// Layers are made when all offsets stand fast.
  struct PendingStep {
    MakeLayer make;
    std::size_t first_tensor, tensors;
    std::size_t first_statistic, statistics;
  };

  ops::ImageShape image_;
  NetworkGraph graph_;
  std::vector<PendingStep> pending_;
  std::size_t noted_tensors_ = 0;  ///< tensors of the steps so far
  std::size_t noted_statistics_ = 0;
  int layer_ = -1;  ///< number of the last layer with parameters
};

}  // namespace fedselect
