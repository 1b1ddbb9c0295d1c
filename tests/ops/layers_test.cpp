// Convolutions and linear layers of the CPU against naive references in double precision, for every
// instruction set of this machine.

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "ops/guarded_arrays.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

// Convolution

struct ConvCase {
  ConvShape shape;
  std::vector<int> samples;
  double tolerance;
};

constexpr double kDirect = 1e-6;
constexpr double kWinograd = 5e-6;
constexpr double kMostlyPadding =
    1e-5;  // relative to few products, where the transforms round like many

const std::vector<ConvCase>& conv_cases() {
  static const std::vector<ConvCase> cases = {
      {{{28, 28, 1}, 32, 5, 1, 2}, {3, 0, 1}, kDirect},
      {{{14, 14, 32}, 64, 5, 1, 2}, {2, 1}, kWinograd},
      {{{14, 14, 32}, 64, 5, 1, 2}, {5}, kWinograd},
      {{{7, 9, 16}, 31, 5, 1, 0}, {2, 0, 3}, kWinograd},
      {{{6, 5, 33}, 17, 5, 1, 3}, {1, 2}, kWinograd},
      {{{8, 8, 16}, 16, 3, 1, 1}, {3}, kWinograd},
      {{{5, 7, 31}, 33, 3, 1, 1}, {2, 1}, kWinograd},
      {{{9, 6, 64}, 64, 3, 1, 0}, {2}, kWinograd},
      {{{4, 4, 32}, 48, 3, 1, 2}, {0, 4}, kWinograd},
      {{{4, 4, 160}, 130, 3, 1, 1}, {3}, kWinograd},
      {{{3, 3, 16}, 16, 3, 1, 3}, {1}, kWinograd},
      {{{3, 3, 56}, 56, 5, 1, 2}, {590, 1}, kMostlyPadding},  // several long blocks of tiles
      {{{8, 8, 3}, 16, 3, 1, 1}, {2}, kDirect},
      {{{9, 9, 3}, 33, 7, 2, 3}, {2, 1}, kDirect},
      {{{9, 8, 16}, 32, 3, 2, 1}, {2}, kDirect},
      {{{8, 8, 31}, 33, 3, 2, 1}, {1, 3}, kDirect},
      {{{8, 7, 33}, 31, 1, 2, 0}, {2}, kDirect},
      {{{6, 6, 32}, 64, 1, 1, 0}, {3, 2}, kDirect},
      {{{5, 5, 3}, 1, 1, 1, 0}, {2}, kDirect},
      {{{4, 4, 3}, 5, 1, 1, 1}, {2}, kDirect},
      {{{5, 4, 2}, 3, 3, 1, 3}, {2}, kDirect},
      {{{1, 1, 1}, 1, 1, 1, 0}, {1}, kDirect},
      {{{5, 5, 1}, 1, 5, 1, 0}, {1, 0, 2}, kDirect},
      {{{7, 7, 2}, 1, 7, 1, 3}, {2}, kDirect},
      {{{11, 33, 3}, 6, 5, 1, 2}, {2}, kDirect},
      {{{6, 6, 16}, 8, 3, 1, 1}, {2}, kDirect},
  };
  return cases;
}

void PrintTo(const ConvCase& c, std::ostream* os) {
  *os << c.shape.in.height << "x" << c.shape.in.width << "x" << c.shape.in.channels << " -> "
      << c.shape.out_channels << ", kernel " << c.shape.kernel << ", stride " << c.shape.stride
      << ", padding " << c.shape.padding;
}

/// Calls visit(output index, input index, weight index, output channel) for each product of one
/// sample.
template <class Visit>
void for_each_product(const ConvShape& s, Visit&& visit) {
  const ImageShape out = s.out();
  for (int h = 0; h < out.height; ++h) {
    for (int w = 0; w < out.width; ++w) {
      for (int i = 0; i < s.kernel; ++i) {
        for (int j = 0; j < s.kernel; ++j) {
          const int row = h * s.stride + i - s.padding;
          const int column = w * s.stride + j - s.padding;
          if (row < 0 || row >= s.in.height || column < 0 || column >= s.in.width) continue;
          for (int o = 0; o < s.out_channels; ++o) {
            for (int c = 0; c < s.in.channels; ++c) {
              visit(static_cast<std::size_t>((h * out.width + w) * s.out_channels + o),
                    static_cast<std::size_t>((row * s.in.width + column) * s.in.channels + c),
                    static_cast<std::size_t>(((o * s.in.channels + c) * s.kernel + i) * s.kernel +
                                             j));
            }
          }
        }
      }
    }
  }
}

class ConvTest : public testing::TestWithParam<ConvCase> {};

TEST_P(ConvTest, AgreesWithTheDefinition) {
  const auto& [shape, samples, tolerance] = GetParam();
  const auto channels = static_cast<std::size_t>(shape.out_channels);
  Clients<float> x(samples, shape.in.size());
  Clients<float> weight(samples, 0, shape.weights());
  Clients<float> bias(samples, 0, channels);
  Clients<float> dy(samples, shape.out().size());
  x.randomize(1);
  weight.randomize(10);
  bias.randomize(20);
  dy.randomize(30);
  Clients<float> y(samples, shape.out().size());
  Clients<float> dx(samples, shape.in.size());
  Clients<float> dweight(samples, 0, shape.weights());
  Clients<float> dbias(samples, 0, channels);

  Arrays y_ref = zeros_like(y);
  Arrays dx_ref = zeros_like(dx);
  Arrays dweight_ref = zeros_like(dweight);
  Arrays dbias_ref = zeros_like(dbias);
  for (std::size_t g = 0; g < samples.size(); ++g) {
    for (std::size_t n = 0; n < static_cast<std::size_t>(samples[g]); ++n) {
      const std::size_t in = n * shape.in.size();
      const std::size_t out = n * shape.out().size();
      for (std::size_t i = 0; i < shape.out().size(); ++i) {
        y_ref[g][out + i] += bias[g][i % channels];
        dbias_ref[g][i % channels] += dy[g][out + i];
      }
      for_each_product(shape, [&](std::size_t iy, std::size_t ix, std::size_t iw) {
        y_ref[g][out + iy] += double{x[g][in + ix]} * weight[g][iw];
        dx_ref[g][in + ix] += double{dy[g][out + iy]} * weight[g][iw];
        dweight_ref[g][iw] += double{dy[g][out + iy]} * x[g][in + ix];
      });
    }
  }

  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    const Group group{samples};
    y.poison(), dx.poison(), dweight.poison(), dbias.poison();
    ops.conv_forward(group, shape, x.view(), weight.view(), bias.view(), y.view());
    ops.conv_backward(group, shape, x.view(), weight.view(), dy.view(), dx.view(), dweight.view(),
                      dbias.view());
    expect_close(y, y_ref, tolerance, "y");
    expect_close(dx, dx_ref, tolerance, "dx");
    expect_close(dweight, dweight_ref, tolerance, "dweight");
    expect_close(dbias, dbias_ref, tolerance, "dbias");

    // Again with some outputs unwanted: the same bits.
    const std::vector<float> dx_before = dx.memory;
    const std::vector<float> dweight_before = dweight.memory;
    dx.poison(), dweight.poison();
    ops.conv_backward(group, shape, x.view(), weight.view(), dy.view(), dx.view(), {}, {});
    ops.conv_backward(group, shape, x.view(), weight.view(), dy.view(), {}, dweight.view(), {});
    EXPECT_EQ(dx.memory, dx_before);
    EXPECT_EQ(dweight.memory, dweight_before);

    // Without a bias, as with one of 0.
    for (float& value : bias.memory) value = 0;
    y.poison();
    ops.conv_forward(group, shape, x.view(), weight.view(), bias.view(), y.view());
    const std::vector<float> y_before = y.memory;
    y.poison();
    ops.conv_forward(group, shape, x.view(), weight.view(), {}, y.view());
    EXPECT_EQ(y.memory, y_before);
    bias.randomize(20);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ConvTest, testing::ValuesIn(conv_cases()));

TEST(Conv, HandChecked) {
  // 2 x 2 image, kernel 3, padding 1, weight 1..9, bias 0.5.
  const std::vector<int> samples = {1};
  const ConvShape shape{{2, 2, 1}, 1, 3, 1, 1};
  std::vector<float> x = {1, 2, 3, 4};
  std::vector<float> weight = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<float> bias = {0.5};
  std::vector<float> dy = {1, 0, 0, 2};
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    std::vector<float> y(4);
    std::vector<float> dx(4);
    std::vector<float> dweight(9);
    std::vector<float> dbias(1);
    ops.conv_forward({samples}, shape, {x.data()}, {weight.data()}, {bias.data()}, {y.data()});
    EXPECT_EQ(y, (std::vector<float>{77.5, 67.5, 47.5, 37.5}));
    ops.conv_backward({samples}, shape, {x.data()}, {weight.data()}, {dy.data()}, {dx.data()},
                      {dweight.data()}, {dbias.data()});
    EXPECT_EQ(dx, (std::vector<float>{7, 10, 16, 19}));
    EXPECT_EQ(dweight, (std::vector<float>{2, 4, 0, 6, 9, 2, 0, 3, 4}));
    EXPECT_EQ(dbias, std::vector<float>{3});
  }
}

// Linear layers

struct LinearCase {
  LinearShape shape;
  std::vector<int> samples;
};

void PrintTo(const LinearCase& c, std::ostream* os) {
  *os << c.shape.in << " -> " << c.shape.out << ", " << c.samples.size() << " clients of "
      << c.samples[0] << ".. samples";
}

std::vector<LinearCase> linear_cases() {
  std::vector<LinearCase> cases;
  for (const int in : {0, 1, 31, 32, 33, 257}) {
    for (const int out : {1, 10, 33, 64}) {
      for (const int samples : {1, 8, 17, 32}) cases.push_back({{in, out}, {samples}});
    }
  }
  cases.push_back({{5, 0}, {2}});
  cases.push_back({{784, 200}, {10, 0, 7, 33}});
  cases.push_back({{3136, 70}, {32, 8}});
  cases.push_back({{3136, 20}, {100, 31}});
  cases.push_back({{1031, 129}, {257}});
  cases.push_back({{200, 10}, {10, 1, 0}});
  return cases;
}

class LinearTest : public testing::TestWithParam<LinearCase> {};

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix matrix(const float* values, int rows, int columns) {
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             values, rows, columns)
      .cast<double>();
}

TEST_P(LinearTest, AgreesWithEigenInDoublePrecision) {
  const auto& [shape, samples] = GetParam();
  const auto in = static_cast<std::size_t>(shape.in);
  const auto out = static_cast<std::size_t>(shape.out);
  Clients<float> x(samples, in);
  Clients<float> weight(samples, 0, in * out);
  Clients<float> bias(samples, 0, out);
  Clients<float> dy(samples, out);
  x.randomize(1);
  weight.randomize(10);
  bias.randomize(20);
  dy.randomize(30);
  Clients<float> y(samples, out);
  Clients<float> dx(samples, in);
  Clients<float> dweight(samples, 0, in * out);
  Clients<float> dbias(samples, 0, out);
  Arrays y_ref = zeros_like(y);
  Arrays dx_ref = zeros_like(dx);
  Arrays dweight_ref = zeros_like(dweight);
  Arrays dbias_ref = zeros_like(dbias);
  for (std::size_t g = 0; g < samples.size(); ++g) {
    const int n = samples[g];
    if (n == 0) continue;
    const Matrix x_g = matrix(x[g], n, shape.in), dy_g = matrix(dy[g], n, shape.out);
    const Matrix w_g = matrix(weight[g], shape.out, shape.in);
    const Matrix ones = Matrix::Ones(n, 1);
    const auto store = [](const Matrix& from, std::vector<double>& to) {
      std::copy_n(from.data(), from.size(), to.begin());
    };
    store(x_g * w_g.transpose() + ones * matrix(bias[g], 1, shape.out), y_ref[g]);
    store(dy_g * w_g, dx_ref[g]);
    store(dy_g.transpose() * x_g, dweight_ref[g]);
    store(ones.transpose() * dy_g, dbias_ref[g]);
  }
  constexpr double kTolerance = 2e-6;  // of sums of up to 3136 products in one sequence
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    const Group group{samples};
    y.poison(), dx.poison(), dweight.poison(), dbias.poison();
    ops.linear_forward(group, shape, x.view(), weight.view(), bias.view(), y.view());
    ops.linear_backward(group, shape, x.view(), weight.view(), dy.view(), dx.view(), dweight.view(),
                        dbias.view());
    expect_close(y, y_ref, kTolerance, "y");
    expect_close(dx, dx_ref, kTolerance, "dx");
    expect_close(dweight, dweight_ref, kTolerance, "dweight");
    expect_close(dbias, dbias_ref, kTolerance, "dbias");
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearTest, testing::ValuesIn(linear_cases()));

TEST(Linear, HandChecked) {
  const std::vector<int> samples = {1};
  std::vector<float> x = {1, 2};
  std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  std::vector<float> bias = {0, 1, -1};
  std::vector<float> dy = {1, 0, 2};
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    std::vector<float> y(3);
    std::vector<float> dx(2);
    std::vector<float> dweight(6);
    std::vector<float> dbias(3);
    ops.linear_forward({samples}, {2, 3}, {x.data()}, {weight.data()}, {bias.data()}, {y.data()});
    EXPECT_EQ(y, (std::vector<float>{5, 12, 16}));
    ops.linear_backward({samples}, {2, 3}, {x.data()}, {weight.data()}, {dy.data()}, {dx.data()},
                        {dweight.data()}, {dbias.data()});
    EXPECT_EQ(dx, (std::vector<float>{11, 14}));
    EXPECT_EQ(dweight, (std::vector<float>{1, 2, 0, 0, 2, 4}));
    EXPECT_EQ(dbias, (std::vector<float>{1, 0, 2}));
  }
}

}  // namespace
}  // namespace fedselect::ops
