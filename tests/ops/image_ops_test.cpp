// Pooling, activation, channel order, batches and loss of the CPU against their definitions, for
// every instruction set of this machine.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "ops/guarded_arrays.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

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
            const int row = pixel / out.width * shape.step() + cell / shape.window - shape.padding;
            const int column =
                pixel % out.width * shape.step() + cell % shape.window - shape.padding;
            if (row < 0 || row >= shape.in.height || column < 0 || column >= shape.in.width)
              continue;
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
          dx_ref[g][best_at] += dy[g][at];
        }
      }
    }
    EXPECT_EQ(wrong, 0U);
    const bool windows_overlap = shape.step() < shape.window;  // then gradients are sums
    expect_close(dx, dx_ref, windows_overlap ? 1e-6 : 0, "dx");
    y.expect_guards_intact();
    argmax.expect_guards_intact();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, PoolTest,
    testing::Values(PoolCase{{{28, 28, 32}, 2}, {2, 0, 1}}, PoolCase{{{7, 9, 33}, 2}, {2}},
                    PoolCase{{{5, 5, 1}, 2}, {3}}, PoolCase{{{9, 10, 17}, 3}, {1, 2}},
                    PoolCase{{{4, 4, 64}, 4}, {2}}, PoolCase{{{3, 2, 31}, 1}, {2}},
                    PoolCase{{{1, 1, 8}, 2}, {1}}, PoolCase{{{16, 16, 64}, 3, 2, 1}, {2, 0, 1}},
                    PoolCase{{{7, 9, 33}, 3, 2, 1}, {2}}, PoolCase{{{2, 1, 5}, 3, 2, 1}, {3}},
                    PoolCase{{{6, 5, 17}, 3, 1, 0}, {2}}, PoolCase{{{9, 9, 16}, 2, 3, 1}, {1, 2}},
                    PoolCase{{{17, 18, 3}, 16, 1, 8}, {1}}, PoolCase{{{2, 2, 8}, 3, 2, 0}, {1}}));

TEST(MeanPool, AgreesWithTheDefinition) {
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(describe(isa));
    CpuOps ops(isa);
    for (const ImageShape& shape :
         {ImageShape{8, 8, 64}, ImageShape{1, 1, 3}, ImageShape{3, 5, 33}, ImageShape{2, 1, 17}}) {
      const std::vector<int> samples = {2, 0, 3};
      const auto channels = static_cast<std::size_t>(shape.channels);
      const std::size_t pixels = shape.size() / channels;
      Clients<float> x(samples, shape.size());
      Clients<float> dy(samples, channels);
      x.randomize(1);
      dy.randomize(2);
      Clients<float> y(samples, channels);
      Clients<float> dx(samples, shape.size());
      ops.mean_pool_forward({samples}, shape, x.view(), y.view());
      ops.mean_pool_backward({samples}, shape, dy.view(), dx.view());
      Arrays y_ref = zeros_like(y);
      Arrays dx_ref = zeros_like(dx);
      for (std::size_t g = 0; g < samples.size(); ++g) {
        for (std::size_t i = 0; i < x.sizes[g]; ++i) {
          const std::size_t at = i / shape.size() * channels + i % channels;
          y_ref[g][at] += x[g][i] / static_cast<double>(pixels);
          dx_ref[g][i] = dy[g][at] / static_cast<double>(pixels);
        }
      }
      expect_close(y, y_ref, 1e-6, "y");
      expect_close(dx, dx_ref, 1e-6, "dx");
    }
  }
}

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

TEST(Add, AddsInPlace) {
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    for (const std::size_t size : {0U, 1U, 31U, 32U, 33U, 257U}) {
      const std::vector<int> samples = {2, 0, 1};
      Clients<float> x(samples, size);
      Clients<float> y(samples, size);
      x.randomize(3);
      y.randomize(4);
      Clients<float> before = y;
      ops.add({samples}, size, x.view(), y.view());
      for (std::size_t g = 0; g < samples.size(); ++g)
        for (std::size_t i = 0; i < y.sizes[g]; ++i) ASSERT_EQ(y[g][i], before[g][i] + x[g][i]);
      y.expect_guards_intact();
    }
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
      ops.gather_batch({samples}, source, {indices.data(), 3}, {}, x.view(), y.view());
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

TEST(GatherBatch, PlacesTheChosenSamples) {
  const std::vector<Placement> placements = {{},
                                             {1, 0, false},
                                             {0, -2, false},
                                             {0, 0, true},
                                             {-2, 3, true},
                                             {3, -1, true},
                                             {4, 4, false},
                                             {-9, 0, true},
                                             {0, 9, false},
                                             {1000, -1000, true}};
  for (const Isa isa : isas_here()) {
    CpuOps ops(isa);
    for (const ImageShape& image :
         {ImageShape{4, 3, 1}, ImageShape{28, 28, 1}, ImageShape{5, 37, 3}, ImageShape{3, 1, 18}}) {
      const std::size_t count = placements.size();
      std::vector<std::uint8_t> pixels(count * image.size());
      for (std::size_t i = 0; i < pixels.size(); ++i)
        pixels[i] = static_cast<std::uint8_t>(1 + i * 37 % 255);
      const std::vector<std::int32_t> labels(count, 3);
      const std::vector<float> mean(static_cast<std::size_t>(image.channels), 0.3F);
      const std::vector<float> deviation(static_cast<std::size_t>(image.channels), 0.2F);
      const SampleSource source{pixels.data(), labels.data(), image, mean.data(), deviation.data()};
      const std::vector<int> samples = {static_cast<int>(count), 0, 2};
      Clients<std::int32_t> indices(samples, 1);
      Clients<Placement> placed(samples, 1);
      Clients<float> x(samples, image.size());
      Clients<std::int32_t> y(samples, 1);
      for (std::size_t g = 0; g < samples.size(); ++g) {
        for (std::size_t n = 0; n < static_cast<std::size_t>(samples[g]); ++n) {
          indices[g][n] = static_cast<std::int32_t>(count - 1 - n);
          placed[g][n] = placements[(n + 3 * g) % count];
        }
      }
      ops.gather_batch({samples}, source, indices.view(), placed.view(), x.view(), y.view());
      for (std::size_t g = 0; g < samples.size(); ++g) {
        for (int n = 0; n < samples[g]; ++n) {
          const Placement& at = placed[g][n];
          for (int r = 0; r < image.height; ++r) {
            for (int c = 0; c < image.width; ++c) {
              const int row = r + at.dy;
              const int column = (at.flip ? image.width - 1 - c : c) + at.dx;
              const bool inside =
                  row >= 0 && row < image.height && column >= 0 && column < image.width;
              for (int k = 0; k < image.channels; ++k) {
                const auto offset = [&](int sample, int y_, int x_) {
                  return static_cast<std::size_t>(
                      ((sample * image.height + y_) * image.width + x_) * image.channels + k);
                };
                const double pixel = inside ? pixels[offset(indices[g][n], row, column)] : 0;
                ASSERT_NEAR(x[g][offset(n, r, c)], (pixel / 255 - 0.3F) / 0.2F, 2e-6)
                    << "placement " << n << ", row " << r << ", column " << c;
              }
            }
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
      std::vector<double> loss(3, 0.5);  // what batches before left
      std::vector<std::int32_t> correct(3, 2);
      const Grouped<std::int32_t> label_view = labels.view();
      ops.cross_entropy({samples}, classes, logits.view(), label_view, dlogits.view(),
                        {{loss.data(), 1}, {correct.data(), 1}});
      EXPECT_EQ(loss[1], 0.5);
      EXPECT_EQ(correct[1], 2);
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
        EXPECT_NEAR(loss[g], 0.5 + sum_of_losses, 1e-9 + 1e-9 * sum_of_losses);
        EXPECT_EQ(correct[g], 2 + hits);
      }
      expect_close(dlogits, expected, 1e-6, "dlogits");
      std::vector<double> again(3, 0.5);
      ops.cross_entropy({samples}, classes, logits.view(), label_view, {},
                        {{again.data(), 1}, {correct.data(), 1}});
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
      ops.cross_entropy({one}, 3, {logits.data()}, {&label}, {dlogits.data()},
                        {{loss.data(), 1}, {correct.data(), 1}});
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
  ops.cross_entropy({one}, 3, {logits.data()}, {&label}, {dlogits.data()},
                    {{loss.data(), 1}, {correct.data(), 1}});
  EXPECT_EQ(loss[0], 0);
  EXPECT_EQ(correct[0], 1);
  EXPECT_EQ(dlogits, (std::vector<float>{0, 0, 0}));
}

}  // namespace
}  // namespace fedselect::ops
