// Backward ops against finite differences of their forward definitions in double precision, for
// every instruction set of this machine. Norm layers: norms_test.cpp.

#include "ops/slopes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace fedselect::ops {
namespace {

using namespace test;

constexpr double kTolerance = 1e-5;
constexpr int kSamples = 2;
const std::vector<int> kOneClient{kSamples};

std::size_t number(int n) { return static_cast<std::size_t>(n); }

/// Calls visit(row, column, cell) for the cells of a window at output (h, w) that lie in the image.
template <class Visit>
void for_each_cell(const ImageShape& in, int window, int stride, int padding, int h, int w,
                   Visit&& visit) {
  for (int cell = 0; cell < window * window; ++cell) {
    const int row = h * stride + cell / window - padding;
    const int column = w * stride + cell % window - padding;
    if (row >= 0 && row < in.height && column >= 0 && column < in.width) visit(row, column, cell);
  }
}

std::size_t at(const ImageShape& shape, int sample, int row, int column, int channel) {
  return number(sample) * shape.size() +
         number((row * shape.width + column) * shape.channels + channel);
}

/// Calls visit(sample, row, column, channel) for the values of a batch of images.
template <class Visit>
void for_each_value(const ImageShape& shape, Visit&& visit) {
  for (int n = 0; n < kSamples; ++n)
    for (int h = 0; h < shape.height; ++h)
      for (int w = 0; w < shape.width; ++w)
        for (int c = 0; c < shape.channels; ++c) visit(n, h, w, c);
}

Doubles convolved(const ConvShape& s, const Doubles& x, const Doubles& weight,
                  const Doubles& bias) {
  Doubles y(number(kSamples) * s.out().size());
  for_each_value(s.out(), [&](int n, int h, int w, int o) {
    double sum = bias[number(o)];
    for_each_cell(s.in, s.kernel, s.stride, s.padding, h, w, [&](int row, int column, int cell) {
      for (int c = 0; c < s.in.channels; ++c)
        sum += x[at(s.in, n, row, column, c)] *
               weight[number((o * s.in.channels + c) * s.kernel * s.kernel + cell)];
    });
    y[at(s.out(), n, h, w, o)] = sum;
  });
  return y;
}

Doubles pooled(const PoolShape& s, const Doubles& x) {
  Doubles y(number(kSamples) * s.out().size(), -1e300);
  for_each_value(s.out(), [&](int n, int h, int w, int c) {
    double& best = y[at(s.out(), n, h, w, c)];
    for_each_cell(s.in, s.window, s.step(), s.padding, h, w, [&](int row, int column, int) {
      best = std::max(best, x[at(s.in, n, row, column, c)]);
    });
  });
  return y;
}

void expect_slopes(Clients<float>& gradient, const Doubles& x,
                   const std::function<double(const Doubles&)>& f, const std::string& name) {
  expect_close(gradient, {slopes(x, f)}, kTolerance, name);
}

TEST(Slopes, Conv) {
  for (const ConvShape& s :
       {ConvShape{{5, 6, 3}, 4, 3, 2, 1}, ConvShape{{4, 5, 2}, 3, 5, 1, 2},
        ConvShape{{5, 4, 3}, 5, 1, 2, 0}, ConvShape{{6, 5, 16}, 16, 3, 1, 1}}) {
    Clients<float> x(kOneClient, s.in.size());
    Clients<float> weight(kOneClient, 0, s.weights());
    Clients<float> bias(kOneClient, 0, number(s.out_channels));
    Clients<float> dy(kOneClient, s.out().size());
    x.randomize(1), weight.randomize(2), bias.randomize(3), dy.randomize(4);
    const Doubles xs = doubles_of(x, 0);
    const Doubles weights = doubles_of(weight, 0);
    const Doubles biases = doubles_of(bias, 0);
    const Doubles dys = doubles_of(dy, 0);
    const auto loss = [&](const Doubles& a, const Doubles& b, const Doubles& c) {
      return dot(dys, convolved(s, a, b, c));
    };
    const Doubles by_x = slopes(xs, [&](const Doubles& v) { return loss(v, weights, biases); });
    const Doubles by_weight =
        slopes(weights, [&](const Doubles& v) { return loss(xs, v, biases); });
    const Doubles by_bias = slopes(biases, [&](const Doubles& v) { return loss(xs, weights, v); });
    for (const Isa isa : isas_here()) {
      SCOPED_TRACE(describe(isa));
      CpuOps ops(isa);
      Clients<float> dx = x;
      Clients<float> dweight = weight;
      Clients<float> dbias = bias;
      ops.conv_backward({kOneClient}, s, x.view(), weight.view(), dy.view(), dx.view(),
                        dweight.view(), dbias.view());
      expect_close(dx, {by_x}, kTolerance, "dx");
      expect_close(dweight, {by_weight}, kTolerance, "dweight");
      expect_close(dbias, {by_bias}, kTolerance, "dbias");
    }
  }
}

TEST(Slopes, Linear) {
  const LinearShape shape{7, 5};
  const ConvShape as_conv{{1, 1, shape.in}, shape.out, 1, 1, 0};  // the same products
  Clients<float> x(kOneClient, number(shape.in));
  Clients<float> weight(kOneClient, 0, as_conv.weights());
  Clients<float> bias(kOneClient, 0, number(shape.out));
  Clients<float> dy(kOneClient, number(shape.out));
  x.randomize(1), weight.randomize(2), bias.randomize(3), dy.randomize(4);
  const Doubles xs = doubles_of(x, 0);
  const Doubles weights = doubles_of(weight, 0);
  const Doubles biases = doubles_of(bias, 0);
  const Doubles dys = doubles_of(dy, 0);
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    Clients<float> dx = x;
    Clients<float> dweight = weight;
    Clients<float> dbias = bias;
    ops.linear_backward({kOneClient}, shape, x.view(), weight.view(), dy.view(), dx.view(),
                        dweight.view(), dbias.view());
    const auto loss = [&](const Doubles& a, const Doubles& b, const Doubles& c) {
      return dot(dys, convolved(as_conv, a, b, c));
    };
    expect_slopes(
        dx, xs, [&](const Doubles& v) { return loss(v, weights, biases); }, "dx");
    expect_slopes(
        dweight, weights, [&](const Doubles& v) { return loss(xs, v, biases); }, "dw");
    expect_slopes(
        dbias, biases, [&](const Doubles& v) { return loss(xs, weights, v); }, "db");
  }
}

TEST(Slopes, MaxPool) {
  for (const PoolShape& s : {PoolShape{{6, 7, 17}, 2}, PoolShape{{5, 6, 3}, 3, 2, 1}}) {
    Clients<float> x(kOneClient, s.in.size());
    Clients<float> dy(kOneClient, s.out().size());
    x.randomize(1), dy.randomize(2);
    const Doubles dys = doubles_of(dy, 0);
    for (const Isa isa : isas_here()) {
      CpuOps ops(isa);
      Clients<float> y = dy;
      Clients<float> dx = x;
      Clients<std::uint8_t> argmax(kOneClient, s.out().size());
      ops.max_pool_forward({kOneClient}, s, x.view(), y.view(), argmax.view());
      const Grouped<std::uint8_t> cells = argmax.view();
      ops.max_pool_backward({kOneClient}, s, dy.view(), cells, dx.view());
      expect_slopes(
          dx, doubles_of(x, 0), [&](const Doubles& v) { return dot(dys, pooled(s, v)); }, "dx");
    }
  }
}

TEST(Slopes, MeanPool) {
  const ImageShape shape{3, 4, 5};
  Clients<float> x(kOneClient, shape.size());
  Clients<float> dy(kOneClient, number(shape.channels));
  x.randomize(1), dy.randomize(2);
  const auto loss = [&](const Doubles& v) {
    double sum = 0;
    for_each_value(shape, [&](int n, int h, int w, int c) {
      sum += v[at(shape, n, h, w, c)] / 12 * dy[0][n * shape.channels + c];
    });
    return sum;
  };
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    Clients<float> dx = x;
    ops.mean_pool_backward({kOneClient}, shape, dy.view(), dx.view());
    expect_slopes(dx, doubles_of(x, 0), loss, "dx");
  }
}

TEST(Slopes, Relu) {
  Clients<float> x(kOneClient, 37);
  Clients<float> dy(kOneClient, 37);
  x.randomize(1), dy.randomize(2);
  const Doubles dys = doubles_of(dy, 0);
  const auto loss = [&](const Doubles& v) {
    double sum = 0;
    for (std::size_t i = 0; i < v.size(); ++i) sum += std::max(v[i], 0.0) * dys[i];
    return sum;
  };
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    Clients<float> y = x;
    Clients<float> dx = dy;
    ops.relu_forward({kOneClient}, 37, y.view());
    ops.relu_backward({kOneClient}, 37, y.view(), dx.view());
    expect_slopes(dx, doubles_of(x, 0), loss, "dx");
  }
}

TEST(Slopes, CrossEntropy) {
  constexpr int kClasses = 5;
  Clients<float> logits(kOneClient, kClasses);
  Clients<std::int32_t> labels(kOneClient, 1);
  logits.randomize(1);
  labels[0][0] = 3, labels[0][1] = 0;
  const auto loss = [&](const Doubles& v) {
    double mean = 0;
    for (int n = 0; n < kSamples; ++n) {
      double sum = 0;
      for (int k = 0; k < kClasses; ++k) sum += std::exp(v[number(n * kClasses + k)]);
      mean += (std::log(sum) - v[number(n * kClasses + labels[0][n])]) / kSamples;
    }
    return mean;
  };
  CpuOps ops;
  Clients<float> dlogits = logits;
  std::vector<double> losses(1);
  std::vector<std::int32_t> correct(1);
  const Grouped<std::int32_t> label_view = labels.view();
  ops.cross_entropy({kOneClient}, kClasses, logits.view(), label_view, dlogits.view(),
                    {{losses.data(), 1}, {correct.data(), 1}});
  expect_slopes(dlogits, doubles_of(logits, 0), loss, "dlogits");
}

}  // namespace
}  // namespace fedselect::ops
