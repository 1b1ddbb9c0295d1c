// Gradients of whole networks by finite differences, and what backward() leaves undone on purpose.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/random.hpp"
#include "model/activations.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

struct Case {
  ModelConfig model;
  ops::ImageShape image;
  const char* name;
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

ModelConfig resnet(ModelKind name, NormKind norm) {
  return {.name = name, .hidden = 0, .norm = norm, .groups = 4};
}

class Gradients : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr int kBatch = 5;
  static constexpr int kClasses = 4;

  Gradients()
      : ops_(ops::make_cpu_ops()),
        network_(GetParam().model, GetParam().image, kClasses),
        activations_(*ops_, network_, 1, kBatch, kBatch),
        data_(testing::random_dataset(kBatch, kBatch, GetParam().image, kClasses)),
        theta_(network_.initial_parameters(3)),
        gradient_(network_.layout().padded_size(), 0.0F) {
    std::vector<std::int32_t> indices(kBatch);
    std::iota(indices.begin(), indices.end(), 0);
    ops_->gather_batch(group_, data_.source(data_.train), {indices.data(), 0}, {},
                       activations_.images(), activations_.labels());
  }

  double mean_loss(AlignedVector<float> theta) {
    std::vector<double> loss(1);
    std::vector<std::int32_t> correct(1);
    activations_.forward(group_, {theta.data(), 0}, Mode::training);
    activations_.measure(group_, {{loss.data(), 1}, {correct.data(), 1}});
    return loss[0] / kBatch;
  }

  void backward(const std::vector<char>& wanted) {
    std::vector<double> loss(1);
    std::vector<std::int32_t> correct(1);
    activations_.forward(group_, {theta_.data(), 0}, Mode::training);
    activations_.backward(group_, {theta_.data(), 0}, wanted, {gradient_.data(), 0},
                          {{loss.data(), 1}, {correct.data(), 1}});
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
    // Larger steps cross kinks of relu and pooling, smaller ones drown in rounding: the best of
    // three.
    double error = norm;
    for (const double size : {1e-3, 3e-4, 1e-4}) {
      const double h = size / std::max(norm, 1.0);
      auto plus = theta_;
      auto minus = theta_;
      for (std::size_t j = tensor.range.begin; j < tensor.range.begin + tensor.size(); ++j) {
        const auto step = static_cast<float>(h * gradient_[j] / norm);
        plus[j] += step;
        minus[j] -= step;
      }
      const double slope = (mean_loss(plus) - mean_loss(minus)) / (2 * h);
      error = std::min(error, std::abs(slope - norm));
    }
    EXPECT_LE(error, 0.01 * norm + 3e-4) << tensor.name;
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
    for (const Tensor& tensor : network_.layout().tensors()) {
      if (tensor.layer == network_.layout().tensors()[only].layer) continue;
      ASSERT_EQ(gradient_[tensor.range.begin], 7.0F) << tensor.name << ": not visited";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, Gradients,
    ::testing::Values(
        Case{{ModelKind::logistic}, {3, 3, 1}, "logistic"},
        Case{{ModelKind::mlp, 11}, {5, 5, 1}, "mlp"},
        Case{{ModelKind::mlp, 11}, {5, 4, 3}, "mlp_three_channels"},
        Case{{ModelKind::cnn}, {28, 28, 1}, "cnn"},
        Case{{ModelKind::cnn}, {13, 9, 3}, "cnn_odd_image"},
        Case{{ModelKind::lenet5}, {28, 28, 1}, "lenet5"},
        Case{{ModelKind::lenet5}, {13, 15, 3}, "lenet5_odd_image"},
        Case{resnet(ModelKind::resnet8, NormKind::batch), {8, 8, 3}, "resnet8"},
        Case{resnet(ModelKind::resnet8, NormKind::group), {9, 7, 1}, "resnet8_group_norm"},
        Case{resnet(ModelKind::resnet20, NormKind::batch), {7, 7, 3}, "resnet20"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace fedselect
