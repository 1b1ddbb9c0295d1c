// Layer ops of the CPU against naive references in double precision, for every instruction set of
// this machine.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ops/cpu/cpu_ops.hpp"

namespace fedselect::ops {
namespace {

using cpu::CpuOps;
using cpu::Isa;

std::vector<Isa> isas_here() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (isa <= cpu::best_isa()) isas.push_back(isa);
  }
  return isas;
}

/// Values in [-1, 1) that depend on the seed and the index only.
float noise(std::uint64_t seed, std::size_t i) {
  std::uint64_t z = (seed * 1000003 + i + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<float>(z >> 40U) / static_cast<float>(1U << 23U) - 1.0F;
}

template <class T>
constexpr T kGuard = static_cast<T>(77);

/// An array of each client of a group, at odd addresses, with guards between that no op may touch.
template <class T>
struct Clients {
  static constexpr std::size_t kGap = 7;
  std::vector<int> samples;
  std::vector<std::size_t> sizes;
  std::size_t stride = 0;
  std::vector<T> memory;

  Clients(const std::vector<int>& samples_of, std::size_t per_sample, std::size_t fixed = 0)
      : samples(samples_of) {
    for (const int n : samples) {
      sizes.push_back(n == 0 ? 0 : fixed + per_sample * static_cast<std::size_t>(n));
      stride = std::max(stride, sizes.back() + kGap);
    }
    memory.assign(stride * samples.size() + kGap, kGuard<T>);
  }
  Grouped<T> view() { return {memory.data() + kGap, static_cast<std::ptrdiff_t>(stride)}; }
  T* operator[](std::size_t g) { return memory.data() + kGap + g * stride; }

  Clients& randomize(std::uint64_t seed) requires std::is_same_v<T, float> {
    for (std::size_t g = 0; g < samples.size(); ++g) {
      for (std::size_t i = 0; i < sizes[g]; ++i) (*this)[g][i] = noise(seed + g, i);
    }
    return *this;
  }
  Clients& poison() {
    std::fill(memory.begin(), memory.end(), kGuard<T>);
    return *this;
  }
  void expect_guards_intact() {
    std::size_t touched = 0;
    for (std::size_t i = 0; i < memory.size(); ++i) {
      const std::size_t at = i < kGap ? stride : (i - kGap) % stride;
      const std::size_t g = i < kGap ? 0 : (i - kGap) / stride;
      const bool guard = g >= sizes.size() || at >= sizes[g];
      if (guard && memory[i] != kGuard<T>) ++touched;
    }
    EXPECT_EQ(touched, 0U) << "guard values were overwritten";
  }
};

using Arrays = std::vector<std::vector<double>>;  // [client][index]

Arrays zeros_like(const Clients<float>& c) {
  Arrays a;
  for (const std::size_t n : c.sizes) a.emplace_back(n, 0.0);
  return a;
}

/// Norm-wise error of each client's array; guards intact.
void expect_close(Clients<float>& actual, const Arrays& expected, double tolerance,
                  const std::string& name) {
  for (std::size_t g = 0; g < expected.size(); ++g) {
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < expected[g].size(); ++i) {
      const double difference = actual[g][i] - expected[g][i];
      error += difference * difference;
      norm += expected[g][i] * expected[g][i];
    }
    EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm) + 1e-12) << name << ", client " << g;
  }
  actual.expect_guards_intact();
}

std::string describe(Isa isa) { return std::string(cpu::to_string(isa)); }

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
      {{{3, 3, 56}, 70, 5, 1, 2}, {590, 1}, kMostlyPadding},  // several long blocks of tiles
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

TEST_P(LinearTest, AgreesWithTheDefinition) {
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
    for (std::size_t n = 0; n < static_cast<std::size_t>(samples[g]); ++n) {
      for (std::size_t o = 0; o < out; ++o) {
        const double dyo = dy[g][n * out + o];
        double sum = bias[g][o];
        for (std::size_t i = 0; i < in; ++i) {
          sum += double{x[g][n * in + i]} * weight[g][o * in + i];
          dx_ref[g][n * in + i] += dyo * weight[g][o * in + i];
          dweight_ref[g][o * in + i] += dyo * x[g][n * in + i];
        }
        y_ref[g][n * out + o] = sum;
        dbias_ref[g][o] += dyo;
      }
    }
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

// Pooling

struct PoolCase {
  PoolShape shape;
  std::vector<int> samples;
};

class PoolTest : public testing::TestWithParam<PoolCase> {};

TEST_P(PoolTest, AgreesWithTheDefinition) {
  const auto& [shape, samples] = GetParam();
  const ImageShape out = shape.out();
  Clients<float> x(samples, shape.in.size());
  Clients<float> dy(samples, out.size());
  x.randomize(1);
  dy.randomize(2);
  for (float& value : x.memory) value = std::round(value * 4);  // many equals
  Clients<float> y(samples, out.size());
  Clients<float> dx(samples, shape.in.size());
  Clients<std::uint8_t> argmax(samples, out.size());
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    const Group group{samples};
    y.poison(), dx.poison(), argmax.poison();
    ops.max_pool_forward(group, shape, x.view(), y.view(), argmax.view());
    const Grouped<std::uint8_t> cells = argmax.view();
    ops.max_pool_backward(group, shape, dy.view(), cells, dx.view());
    Arrays dx_ref = zeros_like(dx);
    std::size_t wrong = 0;
    for (std::size_t g = 0; g < samples.size(); ++g) {
      for (int n = 0; n < samples[g]; ++n) {
        for (std::size_t i = 0; i < out.size(); ++i) {
          const auto c = static_cast<int>(i) % out.channels;
          const auto pixel = static_cast<int>(i) / out.channels;
          const std::size_t at = static_cast<std::size_t>(n) * out.size() + i;
          float best = 0;
          std::size_t best_at = 0;
          int winner = -1;
          for (int cell = 0; cell < shape.window * shape.window; ++cell) {
            const int row = pixel / out.width * shape.window + cell / shape.window;
            const int column = pixel % out.width * shape.window + cell % shape.window;
            const std::size_t from =
                static_cast<std::size_t>(n) * shape.in.size() +
                static_cast<std::size_t>((row * shape.in.width + column) * shape.in.channels + c);
            if (winner < 0 || x[g][from] > best) {
              best = x[g][from];
              best_at = from;
              winner = cell;
            }
          }
          if (y[g][at] != best || argmax[g][at] != winner) ++wrong;
          dx_ref[g][best_at] = dy[g][at];
        }
      }
    }
    EXPECT_EQ(wrong, 0U);
    expect_close(dx, dx_ref, 0, "dx");
    y.expect_guards_intact();
    argmax.expect_guards_intact();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, PoolTest,
    testing::Values(PoolCase{{{28, 28, 32}, 2}, {2, 0, 1}}, PoolCase{{{7, 9, 33}, 2}, {2}},
                    PoolCase{{{5, 5, 1}, 2}, {3}}, PoolCase{{{9, 10, 17}, 3}, {1, 2}},
                    PoolCase{{{4, 4, 64}, 4}, {2}}, PoolCase{{{3, 2, 31}, 1}, {2}},
                    PoolCase{{{1, 1, 8}, 2}, {1}}));

// Elementwise ops and orders

TEST(Relu, ClipsAndKeepsNotANumber) {
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    for (const std::size_t size : {0U, 1U, 31U, 32U, 33U, 257U}) {
      const std::vector<int> samples = {2, 0, 1};
      Clients<float> y(samples, size);
      Clients<float> dy(samples, size);
      y.randomize(3);
      dy.randomize(4);
      Clients<float> x = y;
      const Clients<float> gradient = dy;
      ops.relu_forward({samples}, size, y.view());
      ops.relu_backward({samples}, size, y.view(), dy.view());
      for (std::size_t g = 0; g < samples.size(); ++g) {
        for (std::size_t i = 0; i < y.sizes[g]; ++i) {
          ASSERT_EQ(y[g][i], std::max(x[g][i], 0.0F));
          const std::size_t at = static_cast<std::size_t>(dy[g] + i - dy.memory.data());
          ASSERT_EQ(dy[g][i], y[g][i] > 0 ? gradient.memory[at] : 0.0F);
        }
      }
      y.expect_guards_intact();
      dy.expect_guards_intact();
    }
    std::vector<float> x(40, std::numeric_limits<float>::quiet_NaN());
    const std::vector<int> one = {1};
    ops.relu_forward({one}, x.size(), {x.data()});
    for (const float value : x) EXPECT_TRUE(std::isnan(value));
  }
}

TEST(ChannelOrder, RoundTrip) {
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    for (const ImageShape& shape : {ImageShape{7, 7, 64}, ImageShape{1, 1, 1}, ImageShape{3, 5, 33},
                                    ImageShape{2, 31, 17}, ImageShape{4, 8, 1}}) {
      const std::vector<int> samples = {2, 0, 1};
      Clients<float> x(samples, shape.size());
      x.randomize(5);
      Clients<float> y(samples, shape.size());
      Clients<float> back(samples, shape.size());
      ops.channels_first({samples}, shape, x.view(), y.view());
      ops.channels_last({samples}, shape, y.view(), back.view());
      EXPECT_EQ(back.memory, x.memory);
      const auto channels = static_cast<std::size_t>(shape.channels);
      const std::size_t pixels = shape.size() / channels;
      for (std::size_t i = 0; i < shape.size(); ++i) {
        ASSERT_EQ(y[0][shape.size() + i % channels * pixels + i / channels],
                  x[0][shape.size() + i]);
      }
      y.expect_guards_intact();
    }
  }
}

TEST(GatherBatch, NormalizesTheChosenSamples) {
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    for (const ImageShape& image :
         {ImageShape{28, 28, 1}, ImageShape{5, 7, 3}, ImageShape{3, 1, 18}}) {
      constexpr std::size_t kSamples = 9;
      std::vector<std::uint8_t> pixels(kSamples * image.size());
      std::vector<std::int32_t> labels(kSamples);
      for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<std::uint8_t>(i * 37 % 256);
      }
      for (std::size_t i = 0; i < kSamples; ++i) labels[i] = static_cast<std::int32_t>(100 + i);
      std::vector<float> mean;
      std::vector<float> deviation;
      for (int c = 0; c < image.channels; ++c) {
        mean.push_back(0.1F * static_cast<float>(c + 1));
        deviation.push_back(0.2F + 0.05F * static_cast<float>(c));
      }
      const SampleSource source{pixels.data(), labels.data(), image, mean.data(), deviation.data()};
      const std::vector<int> samples = {3, 0, 2};
      const std::vector<std::int32_t> indices = {8, 0, 3, -1, -1, -1, 5, 5, -1};
      Clients<float> x(samples, image.size());
      Clients<std::int32_t> y(samples, 1);
      ops.gather_batch({samples}, source, {indices.data(), 3}, x.view(), y.view());
      for (std::size_t g = 0; g < samples.size(); ++g) {
        for (std::size_t n = 0; n < static_cast<std::size_t>(samples[g]); ++n) {
          const auto index = static_cast<std::size_t>(indices[g * 3 + n]);
          EXPECT_EQ(y[g][n], labels[index]);
          for (std::size_t i = 0; i < image.size(); ++i) {
            const std::size_t c = i % mean.size();
            const double expected =
                (pixels[index * image.size() + i] / 255.0 - mean[c]) / deviation[c];
            ASSERT_NEAR(x[g][n * image.size() + i], expected, 2e-6);
          }
        }
      }
      x.expect_guards_intact();
      y.expect_guards_intact();
    }
  }
}

// Loss

TEST(CrossEntropy, AgreesWithTheDefinition) {
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    for (const int classes : {1, 2, 10, 33, 257}) {
      const std::vector<int> samples = {4, 0, 3};
      Clients<float> logits(samples, static_cast<std::size_t>(classes));
      Clients<float> dlogits(samples, static_cast<std::size_t>(classes));
      Clients<std::int32_t> labels(samples, 1);
      logits.randomize(6);
      for (float& value : logits.memory) value *= 30;
      for (std::size_t g = 0; g < samples.size(); ++g) {
        for (int n = 0; n < samples[g]; ++n) {
          labels[g][n] = static_cast<std::int32_t>(7 * n + 3 * static_cast<int>(g)) % classes;
        }
      }
      std::vector<double> loss(3, -1.0);
      std::vector<std::int32_t> correct(3, -1);
      const Grouped<std::int32_t> label_view = labels.view();
      ops.cross_entropy({samples}, classes, logits.view(), label_view, dlogits.view(), loss,
                        correct);
      EXPECT_EQ(loss[1], -1.0);
      EXPECT_EQ(correct[1], -1);
      Arrays expected = zeros_like(dlogits);
      for (const std::size_t g : {0U, 2U}) {
        double sum_of_losses = 0;
        std::int32_t hits = 0;
        for (int n = 0; n < samples[g]; ++n) {
          const float* row = logits[g] + n * classes;
          double sum = 0;
          for (int k = 0; k < classes; ++k) sum += std::exp(double{row[k]} - row[0]);
          for (int k = 0; k < classes; ++k) {
            const double p = std::exp(double{row[k]} - row[0]) / sum;
            expected[g][static_cast<std::size_t>(n * classes + k)] =
                (p - (k == labels[g][n] ? 1 : 0)) / samples[g];
          }
          sum_of_losses += std::log(sum) + row[0] - row[labels[g][n]];
          hits += std::max_element(row, row + classes) - row == labels[g][n] ? 1 : 0;
        }
        EXPECT_NEAR(loss[g], sum_of_losses, 1e-9 + 1e-9 * sum_of_losses);
        EXPECT_EQ(correct[g], hits);
      }
      expect_close(dlogits, expected, 1e-6, "dlogits");
      std::vector<double> again(3, -1.0);
      ops.cross_entropy({samples}, classes, logits.view(), label_view, {}, again, correct);
      EXPECT_EQ(again, loss);
    }
  }
}

TEST(CrossEntropy, SurvivesWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<int> one = {1};
  for (const std::vector<float>& logits :
       {std::vector<float>{nan, 0, 1}, std::vector<float>{0, nan, 1},
        std::vector<float>{0, infinity, 1}, std::vector<float>{-infinity, -infinity, -infinity}}) {
    for (std::int32_t label = 0; label < 3; ++label) {
      CpuOps ops;
      std::vector<float> dlogits(3);
      std::vector<double> loss(1);
      std::vector<std::int32_t> correct(1);
      ops.cross_entropy({one}, 3, {logits.data()}, {&label}, {dlogits.data()}, loss, correct);
      EXPECT_FALSE(std::isfinite(loss[0]));
    }
  }
  // Large but finite logits are exact.
  const std::vector<float> logits = {1e30F, -1e30F, 0};
  const std::int32_t label = 0;
  CpuOps ops;
  std::vector<float> dlogits(3);
  std::vector<double> loss(1);
  std::vector<std::int32_t> correct(1);
  ops.cross_entropy({one}, 3, {logits.data()}, {&label}, {dlogits.data()}, loss, correct);
  EXPECT_EQ(loss[0], 0);
  EXPECT_EQ(correct[0], 1);
  EXPECT_EQ(dlogits, (std::vector<float>{0, 0, 0}));
}

}  // namespace
}  // namespace fedselect::ops
