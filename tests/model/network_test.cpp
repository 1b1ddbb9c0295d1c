// Names, sizes, initialisation and refusals of the networks.

#include "model/network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace fedselect {
namespace {

TEST(Network, HasPyTorchsNamesShapesAndSizes) {
  const Network cnn({ModelKind::cnn}, {28, 28, 1}, 10);
  std::vector<std::string> names;
  for (const Tensor& tensor : cnn.layout().tensors()) {
    names.push_back(tensor.name);
    EXPECT_EQ(tensor.range.begin % kWordBits, 0U);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                      "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}));
  EXPECT_EQ(cnn.layout().size(), 1663370U);  // McMahan et al. count 1,663,370
  EXPECT_EQ(cnn.layout().tensors()[2].shape, (std::vector<int>{64, 32, 5, 5}));
  EXPECT_EQ(cnn.layout().head(), 3);
}

TEST(Network, CountsNominalFlops) {
  const Network mlp({ModelKind::mlp, 200}, {28, 28, 1}, 10);
  EXPECT_EQ(mlp.forward_flops(), 2.0 * (784 * 200 + 200 * 10));
  EXPECT_EQ(mlp.training_flops(), 4.0 * 784 * 200 + 6.0 * 200 * 10);
}

TEST(Network, InitialParametersAreUniformWithinFanInBound) {
  const Network mlp({ModelKind::mlp, 200}, {28, 28, 1}, 10);
  const auto theta = mlp.initial_parameters(1);
  EXPECT_EQ(theta, mlp.initial_parameters(1));
  EXPECT_NE(theta, mlp.initial_parameters(2));
  const double bounds[] = {1 / 28.0, 1 / 28.0, 1 / std::sqrt(200), 1 / std::sqrt(200)};
  for (std::size_t t = 0; t < 4; ++t) {
    const Tensor& tensor = mlp.layout().tensors()[t];
    double squares = 0;
    double largest = 0;
    for (std::size_t j = 0; j < tensor.size(); ++j) {
      const double value = theta[tensor.range.begin + j];
      squares += value * value;
      largest = std::max(largest, std::abs(value));
    }
    EXPECT_LE(largest, bounds[t]);
    if (tensor.size() > 1000) {  // variance of the uniform distribution on [-b, b] is b^2 / 3
      EXPECT_NEAR(squares / static_cast<double>(tensor.size()), bounds[t] * bounds[t] / 3,
                  0.1 * bounds[t] * bounds[t] / 3);
    }
  }
}

TEST(Network, ResNetsHaveTorchvisionsNamesAndSizes) {
  const Network resnet18({.name = ModelKind::resnet18, .stem = StemKind::imagenet}, {224, 224, 3},
                         1000);
  const ParameterLayout& layout = resnet18.layout();
  EXPECT_EQ(layout.size(), 11689512U);  // torchvision's resnet18
  EXPECT_EQ(layout.statistic_size(), 9600U);
  std::vector<std::string> names;
  for (const Tensor& tensor : layout.tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names.size(), 62U);
  const std::vector<std::string> first{"conv1.weight", "bn1.weight", "bn1.bias",
                                       "layer1.0.conv1.weight", "layer1.0.bn1.weight"};
  EXPECT_EQ(std::vector<std::string>(names.begin(), names.begin() + 5), first);
  EXPECT_EQ(std::count(names.begin(), names.end(), "layer2.0.downsample.0.weight"), 1);
  EXPECT_EQ(names.back(), "fc.bias");
  EXPECT_EQ(layout.statistics()[1].name, "bn1.running_var");
  EXPECT_EQ(layout.statistics().back().name, "layer4.1.bn2.running_var");
  EXPECT_EQ(layout.layers(), 41);  // 20 convolutions, 20 norms, fc
  EXPECT_EQ(layout.head(), 40);
  EXPECT_TRUE(layout.tensors()[1].norm);
  EXPECT_EQ(layout.tensors()[1].layer, 1);
  EXPECT_EQ(layout.statistics()[0].layer, 1);
  EXPECT_FALSE(layout.tensors()[0].norm);
  // 1.81 G multiply-adds for 224 x 224, as torchvision's list of models says.
  EXPECT_NEAR(resnet18.forward_flops() / 2, 1.81e9, 0.01e9);

  const Network resnet20({.name = ModelKind::resnet20}, {32, 32, 3}, 10);
  EXPECT_EQ(resnet20.layout().size(), 272474U);  // 0.27 M; the shortcuts have 2,752 of them
  EXPECT_NEAR(resnet20.forward_flops() / 2, 40.8e6, 0.5e6);
  const Network grouped({.name = ModelKind::resnet8, .norm = NormKind::group}, {32, 32, 3}, 10);
  EXPECT_FALSE(grouped.has_statistics());
  EXPECT_EQ(grouped.layout().padded_size(), grouped.layout().parameter_span());
}

TEST(Network, ResNetsBeginAsTorchvisionsDo) {
  const Network network({.name = ModelKind::resnet18}, {32, 32, 3}, 10);
  const auto theta = network.initial_parameters(1);
  const auto values = [&](const Tensor& tensor) {
    const auto begin = theta.begin() + static_cast<std::ptrdiff_t>(tensor.range.begin);
    return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(tensor.size()));
  };
  for (const Tensor& tensor : network.layout().tensors()) {
    const auto x = values(tensor);
    if (tensor.norm) {
      const double expected = tensor.kind == TensorKind::weight ? 1 : 0;
      EXPECT_EQ(x, std::vector<double>(x.size(), expected)) << tensor.name;
    } else if (tensor.shape.size() == 4) {
      double squares = 0;
      double fourths = 0;
      for (const double value : x) squares += value * value, fourths += std::pow(value, 4);
      const auto n = static_cast<double>(x.size());
      const double fan_out = tensor.shape[0] * tensor.shape[2] * tensor.shape[3];
      EXPECT_NEAR(squares / n * fan_out / 2, 1, 6 / std::sqrt(n)) << tensor.name;
      EXPECT_NEAR(fourths * n / squares / squares, 3, 40 / std::sqrt(n)) << tensor.name;  // normal
    }
  }
  for (const Tensor& tensor : network.layout().statistics()) {
    const auto x = values(tensor);
    const double expected = tensor.name.ends_with("running_var") ? 1 : 0;
    EXPECT_EQ(x, std::vector<double>(x.size(), expected)) << tensor.name;
  }
}

TEST(Network, RefusesImagesTooSmall) {
  struct Smallest {
    ModelKind name;
    StemKind stem;
    int side;
  };
  for (const auto& [name, stem, side] : {Smallest{ModelKind::cnn, StemKind::cifar, 4},
                                         Smallest{ModelKind::lenet5, StemKind::cifar, 12},
                                         Smallest{ModelKind::resnet8, StemKind::cifar, 3},
                                         Smallest{ModelKind::resnet20, StemKind::cifar, 3},
                                         Smallest{ModelKind::resnet18, StemKind::cifar, 5},
                                         Smallest{ModelKind::resnet18, StemKind::imagenet, 17}}) {
    const ModelConfig config{.name = name, .stem = stem};
    EXPECT_NO_THROW(Network(config, {side, side + 1, 1}, 10));
    EXPECT_THROW(Network(config, {side - 1, side, 1}, 10), KeyError);
  }
}

}  // namespace
}  // namespace fedselect
