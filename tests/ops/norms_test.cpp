// Batch and group norm of the CPU against their definitions in double precision, and their
// gradients against finite differences of those, for every instruction set of this machine.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "ops/guarded_arrays.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

using Doubles = std::vector<double>;

struct NormCase {
  ImageShape in;
  int groups;  ///< 0: batch norm
  std::vector<int> samples;
};

void PrintTo(const NormCase& c, std::ostream* os) {
  *os << c.in.height << "x" << c.in.width << "x" << c.in.channels << ", groups " << c.groups << ", "
      << c.samples[0] << ".. samples";
}

const std::vector<NormCase>& norm_cases() {
  static const std::vector<NormCase> cases = {
      {{3, 2, 5}, 0, {2, 0, 3}}, {{1, 1, 17}, 0, {4, 1}}, {{4, 3, 16}, 0, {2}},
      {{2, 2, 33}, 0, {1, 2}},   {{5, 7, 1}, 0, {3}},     {{1, 1, 1}, 0, {2}},
      {{3, 2, 4}, 2, {2, 0, 3}}, {{2, 2, 33}, 3, {2}},    {{2, 3, 16}, 16, {1, 2}},
      {{3, 3, 17}, 1, {2}},      {{1, 1, 32}, 8, {3}},    {{1, 1, 1}, 1, {1}},
  };
  return cases;
}

/// Visits the values over which one mean is taken: visit(list of their indices, their channels).
template <class Visit>
void for_each_set(const NormCase& c, int samples, Visit&& visit) {
  const auto channels = static_cast<std::size_t>(c.in.channels);
  const std::size_t rows = c.in.size() / channels;
  const auto sets = static_cast<std::size_t>(c.groups == 0 ? c.in.channels : c.groups);
  const std::size_t width = channels / sets;
  const auto batches = static_cast<std::size_t>(c.groups == 0 ? 1 : samples);
  const std::size_t rows_of_set = c.groups == 0 ? rows * static_cast<std::size_t>(samples) : rows;
  for (std::size_t b = 0; b < batches; ++b) {
    for (std::size_t s = 0; s < sets; ++s) {
      std::vector<std::size_t> indices;
      for (std::size_t row = 0; row < rows_of_set; ++row)
        for (std::size_t i = 0; i < width; ++i)
          indices.push_back((b * rows_of_set + row) * channels + s * width + i);
      visit(indices);
    }
  }
}

Doubles normalized(const NormCase& c, int samples, const Doubles& x, const Doubles& weight,
                   const Doubles& bias) {
  Doubles y(x.size());
  for_each_set(c, samples, [&](const std::vector<std::size_t>& indices) {
    double mean = 0;
    double variance = 0;
    for (const std::size_t i : indices) mean += x[i] / static_cast<double>(indices.size());
    for (const std::size_t i : indices)
      variance += (x[i] - mean) * (x[i] - mean) / static_cast<double>(indices.size());
    for (const std::size_t i : indices)
      y[i] = (x[i] - mean) / std::sqrt(variance + double{1e-5F}) * weight[i % weight.size()] +
             bias[i % bias.size()];
  });
  return y;
}

/// The gradient of f by each value of x.
Doubles slopes(const Doubles& x, const std::function<double(const Doubles&)>& f) {
  Doubles gradient;
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Doubles plus = x;
    Doubles minus = x;
    plus[i] += h;
    minus[i] -= h;
    gradient.push_back((f(plus) - f(minus)) / (2 * h));
  }
  return gradient;
}

double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Doubles of(Clients<float>& clients, std::size_t g) {
  return {clients[g], clients[g] + clients.sizes[g]};
}

class NormTest : public testing::TestWithParam<NormCase> {};

TEST_P(NormTest, AgreesWithTheDefinition) {
  const NormCase& c = GetParam();
  const auto& samples = c.samples;
  const auto channels = static_cast<std::size_t>(c.in.channels);
  Clients<float> x(samples, c.in.size());
  Clients<float> dy(samples, c.in.size());
  Clients<float> weight(samples, 0, channels);
  Clients<float> bias(samples, 0, channels);
  x.randomize(1);
  dy.randomize(2);
  weight.randomize(30);
  bias.randomize(40);
  for (float& value : x.memory)  // a mean of about three deviations
    if (value != kGuard<float>) value = 3 * value + 5;
  Clients<float> mean(samples, 0, channels);
  Clients<float> variance(samples, 0, channels);
  Clients<float> y(samples, c.in.size());
  Clients<float> dx(samples, c.in.size());
  Clients<float> dweight(samples, 0, channels);
  Clients<float> dbias(samples, 0, channels);
  Clients<float> kept(samples, c.groups == 0 ? 0 : 2 * static_cast<std::size_t>(c.groups),
                      c.groups == 0 ? 2 * channels : 0);

  Arrays y_ref;
  Arrays dx_ref;
  Arrays dweight_ref;
  Arrays dbias_ref;
  for (std::size_t g = 0; g < samples.size(); ++g) {
    const int n = samples[g];
    const Doubles xs = of(x, g);
    const Doubles weights = of(weight, g);
    const Doubles biases = of(bias, g);
    const Doubles dys = of(dy, g);
    y_ref.push_back(normalized(c, n, xs, weights, biases));
    dx_ref.push_back(slopes(
        xs, [&](const Doubles& v) { return dot(dys, normalized(c, n, v, weights, biases)); }));
    dweight_ref.push_back(slopes(
        weights, [&](const Doubles& v) { return dot(dys, normalized(c, n, xs, v, biases)); }));
    dbias_ref.push_back(slopes(
        biases, [&](const Doubles& v) { return dot(dys, normalized(c, n, xs, weights, v)); }));
  }

  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    const Group group{samples};
    y.poison(), dx.poison(), dweight.poison(), dbias.poison(), kept.poison();
    const auto forward = [&] {
      if (c.groups == 0)
        ops.batch_norm_train(group, {c.in}, x.view(), weight.view(), bias.view(), mean.view(),
                             variance.view(), y.view(), kept.view());
      else
        ops.group_norm_forward(group, {c.in, c.groups}, x.view(), weight.view(), bias.view(),
                               y.view(), kept.view());
    };
    const auto backward = [&](Values to_x, Values to_weight, Values to_bias) {
      if (c.groups == 0)
        ops.batch_norm_backward(group, {c.in}, x.view(), weight.view(), kept.view(), dy.view(),
                                to_x, to_weight, to_bias);
      else
        ops.group_norm_backward(group, {c.in, c.groups}, x.view(), weight.view(), kept.view(),
                                dy.view(), to_x, to_weight, to_bias);
    };
    forward();
    backward(dx.view(), dweight.view(), dbias.view());
    constexpr double kTolerance = 1e-5;  // a mean away from 0 costs digits
    expect_close(y, y_ref, kTolerance, "y");
    for (std::size_t g = 0; g < samples.size(); ++g) {  // dx may vanish: by dy's norm, not its own
      double error = 0;
      for (std::size_t i = 0; i < dx.sizes[g]; ++i) error += std::pow(dx[g][i] - dx_ref[g][i], 2);
      EXPECT_LE(std::sqrt(error), kTolerance * std::sqrt(dot(of(dy, g), of(dy, g)))) << "dx " << g;
    }
    expect_close(dweight, dweight_ref, kTolerance, "dweight");
    expect_close(dbias, dbias_ref, kTolerance, "dbias");
    dx.expect_guards_intact();
    kept.expect_guards_intact();

    // Again with some outputs unwanted: the same bits.
    const std::vector<float> dx_before = dx.memory;
    const std::vector<float> dweight_before = dweight.memory;
    dx.poison(), dweight.poison();
    backward(dx.view(), {}, {});
    backward({}, dweight.view(), {});
    EXPECT_EQ(dx.memory, dx_before);
    EXPECT_EQ(dweight.memory, dweight_before);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, NormTest, testing::ValuesIn(norm_cases()));

TEST(BatchNorm, MomentsOfManyRowsAreAccurate) {
  // Mean 100, deviation 1: what E[x^2] - E[x]^2 in single precision gets wrong by 1e-3.
  const std::vector<int> samples = {70};
  const ImageShape in{9, 11, 3};
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    Clients<float> x(samples, in.size());
    x.randomize(5);
    for (std::size_t i = 0; i < x.sizes[0]; ++i) x[0][i] += 100;
    std::vector<float> y(x.sizes[0]);
    std::vector<float> weight(3, 1);
    std::vector<float> bias(3);
    std::vector<float> mean(3);
    std::vector<float> variance(3);
    std::vector<float> kept(6);
    ops.batch_norm_train({samples}, {in, 0, 1}, x.view(), {weight.data()}, {bias.data()},
                         {mean.data()}, {variance.data()}, {y.data()}, {kept.data()});
    for (std::size_t c = 0; c < 3; ++c) {
      double sum = 0;
      double squares = 0;
      const double count = static_cast<double>(x.sizes[0]) / 3;
      for (std::size_t i = c; i < x.sizes[0]; i += 3) sum += x[0][i];
      for (std::size_t i = c; i < x.sizes[0]; i += 3) squares += std::pow(x[0][i] - sum / count, 2);
      EXPECT_NEAR(mean[c], sum / count, 1e-5);
      EXPECT_NEAR(variance[c], squares / (count - 1), 1e-6);
    }
  }
}

TEST(BatchNorm, RunningStatisticsAndEvaluation) {
  // Values 1, 3 and 5 of one channel: mean 3, biased variance 8/3, unbiased 4.
  const std::vector<int> samples = {3, 0};
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    std::vector<float> x = {1, 3, 5, -7};
    std::vector<float> weight = {2, -7};
    std::vector<float> bias = {0.5, -7};
    std::vector<float> mean = {1, -7};
    std::vector<float> variance = {2, -7};
    std::vector<float> y = {-7, -7, -7, -7};
    std::vector<float> kept = {-7, -7, -7};
    ops.batch_norm_train({samples}, {{1, 1, 1}}, {x.data(), 3}, {weight.data(), 1},
                         {bias.data(), 1}, {mean.data(), 1}, {variance.data(), 1}, {y.data(), 3},
                         {kept.data(), 2});
    EXPECT_FLOAT_EQ(mean[0], 0.9F * 1 + 0.1F * 3);
    EXPECT_FLOAT_EQ(variance[0], 0.9F * 2 + 0.1F * 4);
    EXPECT_NEAR(y[0], -2 * 2 / std::sqrt(8.0 / 3 + 1e-5) + 0.5, 1e-6);
    EXPECT_EQ(y[1], 0.5F);

    mean[0] = 2;
    variance[0] = 4;
    ops.batch_norm_evaluate({samples}, {{1, 1, 1}}, {x.data(), 3}, {weight.data(), 1},
                            {bias.data(), 1}, {mean.data(), 1}, {variance.data(), 1},
                            {y.data(), 3});
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(y[i], (x[i] - 2) * 2 / std::sqrt(4 + 1e-5) + 0.5, 1e-6);
    EXPECT_EQ(mean, (std::vector<float>{2, -7}));  // nothing of the client without samples
    EXPECT_EQ(variance, (std::vector<float>{4, -7}));
    EXPECT_EQ(y[3], -7);
    EXPECT_EQ(kept[2], -7);
  }
}

TEST(BatchNorm, OneValueAChannelHasNoVariance) {
  const std::vector<int> samples = {1};
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    std::vector<float> x = {4};
    std::vector<float> weight = {2};
    std::vector<float> bias = {0.5};
    std::vector<float> mean = {0};
    std::vector<float> variance = {1};
    std::vector<float> y(1);
    std::vector<float> kept(2);
    ops.batch_norm_train({samples}, {{1, 1, 1}}, {x.data()}, {weight.data()}, {bias.data()},
                         {mean.data()}, {variance.data()}, {y.data()}, {kept.data()});
    EXPECT_EQ(y[0], 0.5F);
    EXPECT_FLOAT_EQ(mean[0], 0.4F);
    EXPECT_FLOAT_EQ(variance[0], 0.9F);
  }
}

TEST(BatchNorm, KeepsNotANumber) {
  const std::vector<int> samples = {2};
  CpuOps ops;
  std::vector<float> x = {1, std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> one = {1};
  std::vector<float> mean = {0};
  std::vector<float> variance = {1};
  std::vector<float> y(2);
  std::vector<float> kept(2);
  ops.batch_norm_train({samples}, {{1, 1, 1}}, {x.data()}, {one.data()}, {one.data()},
                       {mean.data()}, {variance.data()}, {y.data()}, {kept.data()});
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]) && std::isnan(mean[0]));
}

}  // namespace
}  // namespace fedselect::ops
