// Clients of a group train as if each were alone, whatever number of samples each brings; what
// batch norm remembers.

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "model/activations.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

/// Some clients with parameters of their own, and the step that trains them.
class Clients {
 public:
  static constexpr int kBatch = 6;
  static constexpr ops::ImageShape kImage{7, 6, 3};

  /// `samples` of client g begin at sample kBatch * (first + g) of the data set.
  Clients(const ModelConfig& config, std::vector<int> samples, int first)
      : network_(config, kImage, 4),
        samples_(std::move(samples)),
        activations_(*ops_, network_, size(), kBatch, kBatch + 3),
        theta_(*ops_, size(), network_.layout().padded_size()),
        gradient_(*ops_, size(), network_.layout().padded_size()),
        indices_(*ops_, size(), kBatch),
        data_(testing::random_dataset(64, 1, kImage, 4)) {
    for (int g = 0; g < size(); ++g) {
      const auto seed = static_cast<std::uint64_t>(first + g);
      theta_.upload(*ops_, g, std::span<const float>(network_.initial_parameters(seed)));
      std::vector<std::int32_t> indices(kBatch);
      std::iota(indices.begin(), indices.end(), kBatch * (first + g));
      indices_.upload(*ops_, g, std::span<const std::int32_t>(indices));
    }
  }

  void forward(Mode mode) {
    const Grouped indices = indices_.view();
    ops_->gather_batch({samples_}, data_.source(data_.train), indices, {}, activations_.images(),
                       activations_.labels());
    activations_.forward({samples_}, theta_.view(), mode);
  }
  std::vector<double> backward() {
    std::vector<double> loss(samples_.size());
    std::vector<std::int32_t> correct(samples_.size());
    activations_.backward({samples_}, theta_.view(),
                          std::vector<char>(network_.layout().tensors().size(), 1),
                          gradient_.view(), {{loss.data(), 1}, {correct.data(), 1}});
    return loss;
  }

  std::vector<float> theta(int g) const { return vector(theta_, g); }
  std::vector<float> gradient(int g) const { return vector(gradient_, g); }
  const Network& network() const { return network_; }

 private:
  using Grouped = ops::Grouped<const std::int32_t>;
  int size() const { return static_cast<int>(samples_.size()); }
  static std::vector<float> vector(const ops::DeviceArray<float>& array, int g) {
    return {array.of(g), array.of(g) + array.count()};
  }

  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  Network network_;
  std::vector<int> samples_;
  Activations activations_;
  ops::DeviceArray<float> theta_;
  ops::DeviceArray<float> gradient_;
  ops::DeviceArray<std::int32_t> indices_;
  Dataset data_;
};

class GroupTest : public ::testing::TestWithParam<NormKind> {
 protected:
  ModelConfig config() const { return {.name = ModelKind::resnet8, .norm = GetParam()}; }
};

TEST_P(GroupTest, ClientsDontSeeEachOther) {
  const std::vector<int> samples{5, 0, 1, 6};
  Clients group(config(), samples, 0);
  const auto untouched = group.theta(1);
  group.forward(Mode::training);
  const auto loss = group.backward();
  for (int g = 0; g < 4; ++g) {
    const auto i = static_cast<std::size_t>(g);
    if (samples[i] == 0) continue;
    Clients alone(config(), {samples[i]}, g);
    alone.forward(Mode::training);
    EXPECT_EQ(alone.backward()[0], loss[i]);
    EXPECT_EQ(alone.gradient(0), group.gradient(g));
    EXPECT_EQ(alone.theta(0), group.theta(g));
  }
  EXPECT_EQ(loss[1], 0.0);
  EXPECT_EQ(group.theta(1), untouched);
  EXPECT_EQ(group.gradient(1), std::vector<float>(untouched.size()));
}

INSTANTIATE_TEST_SUITE_P(Norms, GroupTest, ::testing::Values(NormKind::batch, NormKind::group));

TEST(BatchNormNetwork, OnlyTrainingMovesOnlyStatistics) {
  Clients client({.name = ModelKind::resnet8}, {6}, 0);
  const ParameterLayout& layout = client.network().layout();
  const auto before = client.theta(0);
  client.forward(Mode::evaluation);
  EXPECT_EQ(client.theta(0), before);
  client.forward(Mode::training);
  const auto after = client.theta(0);
  const auto parameters = static_cast<std::ptrdiff_t>(layout.parameter_span());
  EXPECT_TRUE(std::equal(after.begin(), after.begin() + parameters, before.begin()));
  for (const Tensor& tensor : layout.statistics())
    for (std::size_t j = tensor.range.begin; j < tensor.range.begin + tensor.size(); ++j)
      ASSERT_NE(after[j], before[j]) << tensor.name;
  client.backward();
  EXPECT_EQ(client.theta(0), after);
}

}  // namespace
}  // namespace fedselect
