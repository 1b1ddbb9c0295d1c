// Gradients of whole networks by finite differences, and what backward() leaves undone on purpose.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>

#include "base/random.hpp"
#include "model/network.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

struct Case {
  ModelKind model;
  ops::ImageShape image;
  const char* name;
};

class Gradients : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr int kBatch = 5;
  static constexpr int kClasses = 4;

  Gradients()
      : ops_(ops::make_cpu_ops()),
        network_({GetParam().model, 11}, GetParam().image, kClasses),
        activations_(*ops_, network_, 1, kBatch, kBatch),
        data_(testing::random_dataset(kBatch, kBatch, GetParam().image, kClasses)),
        theta_(network_.initial_parameters(3)),
        gradient_(network_.layout().padded_size(), 0.0F) {
    std::vector<std::int32_t> indices(kBatch);
    std::iota(indices.begin(), indices.end(), 0);
    ops_->gather_batch(group_, data_.source(data_.train), {indices.data(), 0},
                       activations_.images(), activations_.labels());
  }

  double mean_loss(const AlignedVector<float>& theta) {
    std::vector<double> loss(1);
    std::vector<std::int32_t> correct(1);
    activations_.forward(group_, {theta.data(), 0});
    activations_.measure(group_, loss, correct);
    return loss[0] / kBatch;
  }

  void backward(const std::vector<char>& wanted) {
    std::vector<double> loss(1);
    std::vector<std::int32_t> correct(1);
    activations_.forward(group_, {theta_.data(), 0});
    activations_.backward(group_, {theta_.data(), 0}, wanted, {gradient_.data(), 0}, loss, correct);
  }

  std::vector<int> samples_{kBatch};
  ops::Group group_{samples_};
  std::unique_ptr<ops::Ops> ops_;
  Network network_;
  Activations activations_;
  Dataset data_;
  AlignedVector<float> theta_;
  AlignedVector<float> gradient_;
};

TEST_P(Gradients, AgreeWithFiniteDifferences) {
  backward(std::vector<char>(network_.layout().tensors().size(), 1));
  for (const Tensor& tensor : network_.layout().tensors()) {
    // The slope along the gradient's own direction within the tensor is its norm.
    double norm = 0;
    for (std::size_t j = 0; j < tensor.size(); ++j)
      norm += std::pow(gradient_[tensor.range.begin + j], 2);
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 0) << tensor.name;
    constexpr double h =
        1e-3;  // larger steps cross kinks of relu and pooling, smaller ones drown in rounding
    auto plus = theta_;
    auto minus = theta_;
    for (std::size_t j = tensor.range.begin; j < tensor.range.begin + tensor.size(); ++j) {
      const auto step = static_cast<float>(h * gradient_[j] / norm);
      plus[j] += step;
      minus[j] -= step;
    }
    const double slope = (mean_loss(plus) - mean_loss(minus)) / (2 * h);
    EXPECT_NEAR(slope, norm, 0.01 * norm + 3e-4) << tensor.name;
  }
}

TEST_P(Gradients, OfWantedTensorsDoNotDependOnTheOthers) {
  const auto tensors = network_.layout().tensors().size();
  backward(std::vector<char>(tensors, 1));
  const auto all = gradient_;
  for (std::size_t only = 0; only < tensors; ++only) {
    std::vector<char> wanted(tensors, 0);
    wanted[only] = 1;
    std::fill(gradient_.begin(), gradient_.end(), 7.0F);
    backward(wanted);
    const auto range = network_.layout().ranges()[only];
    for (std::size_t j = range.begin; j < range.begin + range.size; ++j)
      ASSERT_EQ(gradient_[j], all[j]) << network_.layout().tensors()[only].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Gradients,
                         ::testing::Values(Case{ModelKind::logistic, {3, 3, 1}, "logistic"},
                                           Case{ModelKind::mlp, {5, 5, 1}, "mlp"},
                                           Case{ModelKind::mlp, {5, 4, 3}, "mlp_three_channels"},
                                           Case{ModelKind::cnn, {28, 28, 1}, "cnn"},
                                           Case{ModelKind::cnn, {13, 9, 3}, "cnn_odd_image"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Network, HasPyTorchsNamesShapesAndSizes) {
  const Network cnn({ModelKind::cnn, 0}, {28, 28, 1}, 10);
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

TEST(Network, RefusesImagesTooSmallForCnn) {
  EXPECT_THROW(Network({ModelKind::cnn, 0}, {3, 3, 1}, 10), std::runtime_error);
}

}  // namespace
}  // namespace fedselect
