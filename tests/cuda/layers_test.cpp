// Layers on the GPU against the CPU's: every op, groups of 1, 2 and 7 clients with unequal numbers
// of samples, some of them none.

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cuda/two_devices.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

constexpr double kRounding = 2e-6;  // sums in single precision, in another order

class Layers : public OnGpu {};

std::size_t whole(int n) { return static_cast<std::size_t>(n); }

TEST_F(Layers, Linear) {
  for (const int clients : kGroups)
    for (const int most : {1, 6})
      for (const auto& [in, out] :
           {std::pair{1, 1}, {31, 33}, {257, 10}, {784, 32}, {32, 31}, {33, 257}, {0, 3}, {5, 0}}) {
        const auto samples = unequal_samples(clients, most);
        const auto rows = whole(most);
        Twin<float> x(devices(), clients, rows * whole(in)),
            y(devices(), clients, rows * whole(out));
        Twin<float> weight(devices(), clients, whole(in) * whole(out));
        Twin<float> bias(devices(), clients, whole(out)), dbias(devices(), clients, whole(out));
        Twin<float> dy(devices(), clients, rows * whole(out));
        Twin<float> dx(devices(), clients, rows * whole(in));
        Twin<float> dweight(devices(), clients, whole(in) * whole(out));
        x.randomize(1), weight.randomize(2), bias.randomize(3), dy.randomize(4);
        const LinearShape shape{in, out};
        const Group group{samples};
        cpu().linear_forward(group, shape, x.cpu(), weight.cpu(), bias.cpu(), y.cpu());
        gpu().linear_forward(group, shape, x.gpu(), weight.gpu(), bias.gpu(), y.gpu());
        y.expect_close(kRounding, "y");
        cpu().linear_backward(group, shape, x.cpu(), weight.cpu(), dy.cpu(), dx.cpu(),
                              dweight.cpu(), dbias.cpu());
        gpu().linear_backward(group, shape, x.gpu(), weight.gpu(), dy.gpu(), dx.gpu(),
                              dweight.gpu(), dbias.gpu());
        dx.expect_close(kRounding, "dx");
        dweight.expect_close(kRounding, "dweight");
        dbias.expect_close(kRounding, "dbias");
      }
}

const ConvShape kConvs[] = {
    {{5, 5, 1}, 1, 5, 1, 0},   {{8, 7, 1}, 32, 5, 1, 2},  {{7, 6, 3}, 33, 3, 1, 1},
    {{6, 6, 16}, 31, 3, 2, 1}, {{5, 7, 31}, 64, 3, 1, 1}, {{9, 9, 3}, 16, 7, 2, 3},
    {{6, 5, 33}, 65, 1, 2, 0}, {{4, 4, 2}, 3, 3, 1, 3},   {{1, 1, 1}, 1, 1, 1, 0},
    {{7, 8, 16}, 32, 3, 2, 1},
};

TEST_F(Layers, Convolution) {
  for (const int clients : kGroups)
    for (const ConvShape& shape : kConvs) {
      const int most = clients == 7 ? 3 : 5;
      const auto samples = unequal_samples(clients, most);
      const auto rows = whole(most);
      Twin<float> x(devices(), clients, rows * shape.in.size());
      Twin<float> y(devices(), clients, rows * shape.out().size());
      Twin<float> weight(devices(), clients, shape.weights());
      Twin<float> bias(devices(), clients, whole(shape.out_channels));
      Twin<float> dy(devices(), clients, rows * shape.out().size());
      Twin<float> dx(devices(), clients, rows * shape.in.size());
      Twin<float> dweight(devices(), clients, shape.weights());
      Twin<float> dbias(devices(), clients, whole(shape.out_channels));
      x.randomize(1), weight.randomize(2), bias.randomize(3), dy.randomize(4);
      const Group group{samples};
      cpu().conv_forward(group, shape, x.cpu(), weight.cpu(), bias.cpu(), y.cpu());
      gpu().conv_forward(group, shape, x.gpu(), weight.gpu(), bias.gpu(), y.gpu());
      constexpr double kWinograd = 1e-5;  // by which the CPU computes some of these
      y.expect_close(kWinograd, "y");
      cpu().conv_backward(group, shape, x.cpu(), weight.cpu(), dy.cpu(), dx.cpu(), dweight.cpu(),
                          dbias.cpu());
      gpu().conv_backward(group, shape, x.gpu(), weight.gpu(), dy.gpu(), dx.gpu(), dweight.gpu(),
                          dbias.gpu());
      dx.expect_close(kWinograd, "dx");
      dweight.expect_close(kWinograd, "dweight");
      dbias.expect_close(kRounding, "dbias");
    }
}

TEST_F(Layers, WeightGradientsOfManyPixelsAreAddedInParts) {
  const ConvShape shape{{28, 28, 1}, 4, 3, 1, 1};
  const std::vector<int> samples{6, 1};  // 4704 pixels are five parts, 784 are one
  Twin<float> x(devices(), 2, 6 * shape.in.size()), dy(devices(), 2, 6 * shape.out().size());
  Twin<float> weight(devices(), 2, shape.weights()), dweight(devices(), 2, shape.weights());
  x.randomize(1), dy.randomize(2), weight.randomize(3);
  cpu().conv_backward({samples}, shape, x.cpu(), weight.cpu(), dy.cpu(), {}, dweight.cpu(), {});
  gpu().conv_backward({samples}, shape, x.gpu(), weight.gpu(), dy.gpu(), {}, dweight.gpu(), {});
  dweight.expect_close(1e-5, "dweight");
}

/// Tiles of all widths, several parts, few rows.
TEST_F(Layers, AClientsResultDoesNotDependOnItsGroup) {
  const std::vector<int> samples{40, 5, 0, 33, 32, 1, 17};
  for (const ConvShape& shape : {ConvShape{{7, 7, 4}, 33, 3, 1, 1}, {{6, 6, 3}, 8, 3, 1, 1}}) {
    const Arrays a(devices(), samples, shape.in.size(), shape.out().size(), shape.weights(),
                   whole(shape.out_channels));
    a.expect_alone_as_together([&](const Group& group, const auto& of) {
      gpu().conv_forward(group, shape, of(a.x), of(a.weight), of(a.bias), of(a.y));
      gpu().conv_backward(group, shape, of(a.x), of(a.weight), of(a.dy), of(a.dx), of(a.dweight),
                          of(a.dbias));
    });
  }
  for (const LinearShape& shape : {LinearShape{600, 40}, {33, 10}}) {
    const Arrays a(devices(), samples, whole(shape.in), whole(shape.out),
                   whole(shape.in) * whole(shape.out), whole(shape.out));
    a.expect_alone_as_together([&](const Group& group, const auto& of) {
      gpu().linear_forward(group, shape, of(a.x), of(a.weight), of(a.bias), of(a.y));
      gpu().linear_backward(group, shape, of(a.x), of(a.weight), of(a.dy), of(a.dx), of(a.dweight),
                            of(a.dbias));
    });
  }
  const BatchNormShape norm{{7, 7, 33}};  // 40 samples are four parts
  const Arrays a(devices(), samples, norm.in.size(), norm.in.size(), 33, 33);
  Twin<float> mean(devices(), a.clients(), 33), variance(devices(), a.clients(), 33);
  Twin<float> kept(devices(), a.clients(), 66);
  a.expect_alone_as_together([&](const Group& group, const auto& of) {
    gpu().batch_norm_train(group, norm, of(a.x), of(a.weight), of(a.bias), of(mean), of(variance),
                           of(a.y), of(kept));
    gpu().batch_norm_backward(group, norm, of(a.x), of(a.weight), of(kept), of(a.dy), of(a.dx),
                              of(a.dweight), of(a.dbias));
  });
}

TEST_F(Layers, Pools) {
  for (const int clients : kGroups)
    for (const PoolShape& shape :
         {PoolShape{{6, 6, 33}, 2}, PoolShape{{7, 5, 3}, 3, 2, 1}, PoolShape{{4, 4, 1}, 4},
          PoolShape{{9, 9, 2}, 3, 1, 0}, PoolShape{{1, 1, 257}, 1}, PoolShape{{7, 5, 8}, 3, 2, 1},
          PoolShape{{8, 6, 4}, 2}}) {
      const auto samples = unequal_samples(clients, 4);
      Twin<float> x(devices(), clients, 4 * shape.in.size());
      Twin<float> dx(devices(), clients, 4 * shape.in.size());
      Twin<float> y(devices(), clients, 4 * shape.out().size());
      Twin<float> dy(devices(), clients, 4 * shape.out().size());
      Twin<std::uint8_t> argmax(devices(), clients, 4 * shape.out().size());
      RandomStream random(1, Purpose::test);
      x.set([&](int, std::size_t) { return static_cast<float>(random.below(5)); });  // with ties
      dy.randomize(2);
      const Group group{samples};
      cpu().max_pool_forward(group, shape, x.cpu(), y.cpu(), argmax.cpu());
      gpu().max_pool_forward(group, shape, x.gpu(), y.gpu(), argmax.gpu());
      y.expect_same_bits("y");
      argmax.expect_same_bits("argmax");
      cpu().max_pool_backward(group, shape, dy.cpu(), argmax.cpu(), dx.cpu());
      gpu().max_pool_backward(group, shape, dy.gpu(), argmax.gpu(), dx.gpu());
      dx.expect_close(1e-6, "dx");
      const ImageShape image = shape.in;
      Twin<float> mean(devices(), clients, 4 * whole(image.channels));
      cpu().mean_pool_forward(group, image, x.cpu(), mean.cpu());
      gpu().mean_pool_forward(group, image, x.gpu(), mean.gpu());
      mean.expect_close(1e-6, "mean");
      cpu().mean_pool_backward(group, image, mean.cpu(), dx.cpu());
      gpu().mean_pool_backward(group, image, mean.gpu(), dx.gpu());
      dx.expect_close(1e-6, "dx of the mean");
    }
}

TEST_F(Layers, ValueByValue) {
  for (const int clients : kGroups)
    for (const std::size_t size : {1U, 31U, 32U, 33U, 257U}) {
      const auto samples = unequal_samples(clients, 5);
      Twin<float> x(devices(), clients, 5 * size), y(devices(), clients, 5 * size);
      x.randomize(1), y.randomize(2);
      const Group group{samples};
      cpu().add(group, size, x.cpu(), y.cpu());
      gpu().add(group, size, x.gpu(), y.gpu());
      y.expect_same_bits("add");
      cpu().relu_forward(group, size, x.cpu());
      gpu().relu_forward(group, size, x.gpu());
      x.expect_same_bits("relu");
      cpu().relu_backward(group, size, x.cpu(), y.cpu());
      gpu().relu_backward(group, size, x.gpu(), y.gpu());
      y.expect_same_bits("relu backward");
      const ImageShape image{1, static_cast<int>(size), 3};
      Twin<float> a(devices(), clients, 5 * image.size()), b(devices(), clients, 5 * image.size());
      a.randomize(3);
      cpu().channels_first(group, image, a.cpu(), b.cpu());
      gpu().channels_first(group, image, a.gpu(), b.gpu());
      b.expect_same_bits("channels_first");
      cpu().channels_last(group, image, b.cpu(), a.cpu());
      gpu().channels_last(group, image, b.gpu(), a.gpu());
      a.expect_same_bits("channels_last");
    }
}

TEST_F(Layers, BatchNorm) {
  for (const int clients : kGroups)
    for (const int channels : {1, 31, 33, 257}) {
      const BatchNormShape shape{{3, 2, channels}};
      const auto samples = unequal_samples(clients, 5);
      const auto n = whole(channels);
      Twin<float> x(devices(), clients, 5 * shape.in.size()),
          y(devices(), clients, 5 * shape.in.size());
      Twin<float> dy(devices(), clients, 5 * shape.in.size());
      Twin<float> dx(devices(), clients, 5 * shape.in.size());
      Twin<float> weight(devices(), clients, n), bias(devices(), clients, n);
      Twin<float> mean(devices(), clients, n), variance(devices(), clients, n);
      Twin<float> kept(devices(), clients, 2 * n);
      Twin<float> dweight(devices(), clients, n), dbias(devices(), clients, n);
      x.randomize(1), dy.randomize(2), weight.randomize(3), bias.randomize(4), mean.randomize(5);
      variance.set([](int, std::size_t i) { return 0.5F + static_cast<float>(i % 7); });
      const Group group{samples};
      cpu().batch_norm_evaluate(group, shape, x.cpu(), weight.cpu(), bias.cpu(), mean.cpu(),
                                variance.cpu(), y.cpu());
      gpu().batch_norm_evaluate(group, shape, x.gpu(), weight.gpu(), bias.gpu(), mean.gpu(),
                                variance.gpu(), y.gpu());
      y.expect_close(kRounding, "evaluated");
      cpu().batch_norm_train(group, shape, x.cpu(), weight.cpu(), bias.cpu(), mean.cpu(),
                             variance.cpu(), y.cpu(), kept.cpu());
      gpu().batch_norm_train(group, shape, x.gpu(), weight.gpu(), bias.gpu(), mean.gpu(),
                             variance.gpu(), y.gpu(), kept.gpu());
      y.expect_close(kRounding, "y");
      kept.expect_close(kRounding, "kept");
      mean.expect_close(kRounding, "running mean");
      variance.expect_close(kRounding, "running variance");
      cpu().batch_norm_backward(group, shape, x.cpu(), weight.cpu(), kept.cpu(), dy.cpu(), dx.cpu(),
                                dweight.cpu(), dbias.cpu());
      gpu().batch_norm_backward(group, shape, x.gpu(), weight.gpu(), kept.gpu(), dy.gpu(), dx.gpu(),
                                dweight.gpu(), dbias.gpu());
      dx.expect_close(1e-5, "dx");
      dweight.expect_close(1e-5, "dweight");
      dbias.expect_close(kRounding, "dbias");
    }
}

TEST_F(Layers, GroupNorm) {
  for (const int clients : kGroups)
    for (const auto& [channels, groups] : {std::pair{1, 1}, {32, 4}, {33, 3}, {257, 1}, {31, 31}}) {
      const GroupNormShape shape{{3, 2, channels}, groups};
      const auto samples = unequal_samples(clients, 4);
      const auto n = whole(channels);
      Twin<float> x(devices(), clients, 4 * shape.in.size()),
          y(devices(), clients, 4 * shape.in.size());
      Twin<float> dy(devices(), clients, 4 * shape.in.size());
      Twin<float> dx(devices(), clients, 4 * shape.in.size());
      Twin<float> weight(devices(), clients, n), bias(devices(), clients, n);
      Twin<float> kept(devices(), clients, 4 * 2 * whole(groups));
      Twin<float> dweight(devices(), clients, n), dbias(devices(), clients, n);
      x.randomize(1), dy.randomize(2), weight.randomize(3), bias.randomize(4);
      const Group group{samples};
      cpu().group_norm_forward(group, shape, x.cpu(), weight.cpu(), bias.cpu(), y.cpu(),
                               kept.cpu());
      gpu().group_norm_forward(group, shape, x.gpu(), weight.gpu(), bias.gpu(), y.gpu(),
                               kept.gpu());
      y.expect_close(kRounding, "y");
      kept.expect_close(kRounding, "kept");
      cpu().group_norm_backward(group, shape, x.cpu(), weight.cpu(), kept.cpu(), dy.cpu(), dx.cpu(),
                                dweight.cpu(), dbias.cpu());
      gpu().group_norm_backward(group, shape, x.gpu(), weight.gpu(), kept.gpu(), dy.gpu(), dx.gpu(),
                                dweight.gpu(), dbias.gpu());
      dx.expect_close(1e-5, "dx");
      dweight.expect_close(1e-5, "dweight");
      dbias.expect_close(kRounding, "dbias");
    }
}

TEST_F(Layers, NormsOfMoreRowsThanBlocksAddUpSideBySide) {
  const GroupNormShape shape{{224, 224, 1}, 1};
  const std::vector<int> samples{11};
  const std::size_t rows = 11 * shape.in.size();
  const DeviceArray<float> x(gpu(), 1, rows), kept(gpu(), 1, 2 * 11), dbias(gpu(), 1, 1);
  DeviceArray<float> dy(gpu(), 1, rows);
  const std::vector<float> ones(rows, 1);
  dy.upload(gpu(), 0, std::span<const float>(ones));
  gpu().group_norm_backward({samples}, shape, x.view(), {}, kept.view(), dy.view(), {}, {},
                            dbias.view());
  float sum = 0;
  dbias.download(gpu(), 0, std::span(&sum, 1));
  EXPECT_EQ(sum, static_cast<float>(rows));
}

TEST_F(Layers, NormsRefuseWhatTheyCantCount) {
  const std::vector<int> samples{2675};
  const ImageShape image{112, 112, 64};
  EXPECT_THROW(gpu().batch_norm_train({samples}, {image}, {}, {}, {}, {}, {}, {}, {}), InputError);
  EXPECT_THROW(gpu().batch_norm_backward({samples}, {image}, {}, {}, {}, {}, {}, {}, {}),
               InputError);
  EXPECT_THROW(gpu().group_norm_forward({samples}, {image, 2}, {}, {}, {}, {}, {}), InputError);
  EXPECT_THROW(gpu().group_norm_backward({samples}, {image, 2}, {}, {}, {}, {}, {}, {}, {}),
               InputError);
}

/// The labels of `rows` samples a client.
void set_labels(Twin<std::int32_t>& labels, int classes) {
  labels.set([classes](int g, std::size_t i) {
    return static_cast<std::int32_t>((3 * i + whole(g)) % whole(classes));
  });
}

TEST_F(Layers, CrossEntropy) {
  for (const int clients : kGroups)
    for (const int classes : {1, 2, 10, 33, 257}) {
      const auto samples = unequal_samples(clients, 33);
      Twin<float> logits(devices(), clients, 33 * whole(classes));
      Twin<float> dlogits(devices(), clients, 33 * whole(classes));
      Twin<std::int32_t> labels(devices(), clients, 33), correct(devices(), clients, 1);
      Twin<double> loss(devices(), clients, 1);
      logits.randomize(1);
      set_labels(labels, classes);
      loss.set([](int g, std::size_t) { return 1.5 * g; });  // what came before
      cpu().cross_entropy({samples}, classes, logits.cpu(), labels.cpu(), dlogits.cpu(),
                          {loss.cpu(), correct.cpu()});
      gpu().cross_entropy({samples}, classes, logits.gpu(), labels.gpu(), dlogits.gpu(),
                          {loss.gpu(), correct.gpu()});
      dlogits.expect_close(1e-6, "dlogits");
      loss.expect_close(1e-12, "loss");
      correct.expect_same_bits("correct");
    }
}

TEST_F(Layers, FeaturesByClass) {
  for (const int clients : kGroups)
    for (const std::size_t size : {1U, 31U, 33U, 257U}) {
      const auto samples = unequal_samples(clients, 9);
      Twin<float> x(devices(), clients, 9 * size), dx(devices(), clients, 9 * size);
      Twin<std::int32_t> labels(devices(), clients, 9);
      Twin<double> sums(devices(), clients, 4 * (size + 2));
      Twin<float> targets(devices(), clients, 4 * (size + 1));
      x.randomize(1), dx.randomize(2), targets.randomize(3);
      targets.set([&](int g, std::size_t i) {  // class 2 has none
        return i == 2 * (size + 1) + size ? 0.0F
                                          : static_cast<float>(i % 5) + static_cast<float>(g) + 1;
      });
      set_labels(labels, 4);
      const std::vector<float> factor{0.5F, 2, 3, 4, 5, 6, 7};
      cpu().add_class_sums({samples}, size, x.cpu(), labels.cpu(), sums.cpu());
      gpu().add_class_sums({samples}, size, x.gpu(), labels.gpu(), sums.gpu());
      sums.expect_close(1e-12, "sums");
      cpu().pull_to_class({samples}, size, factor, x.cpu(), labels.cpu(), targets.cpu(), dx.cpu());
      gpu().pull_to_class({samples}, size, factor, x.gpu(), labels.gpu(), targets.gpu(), dx.gpu());
      dx.expect_close(1e-6, "dx");
    }
}

TEST_F(Layers, Batches) {
  constexpr int kSamples = 20;
  for (const int clients : kGroups)
    for (const ImageShape& image : {ImageShape{5, 4, 1}, ImageShape{3, 6, 3}}) {
      RandomStream random(2, Purpose::test);
      std::vector<std::uint8_t> pixels(kSamples * image.size());
      for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(random.below(256));
      std::vector<std::int32_t> labels(kSamples);
      for (auto& label : labels) label = static_cast<std::int32_t>(random.below(10));
      const std::vector<float> mean{0.3F, 0.5F, 0.1F}, deviation{0.4F, 0.25F, 1};
      const auto pixels_there = gpu().place(pixels.data(), pixels.size());
      const auto labels_there = gpu().place(labels.data(), labels.size() * sizeof(labels[0]));
      const SampleSource here{pixels.data(), labels.data(), image, mean.data(), deviation.data()};
      SampleSource there = here;
      there.pixels = static_cast<const std::uint8_t*>(pixels_there.get());
      there.labels = static_cast<const std::int32_t*>(labels_there.get());
      const auto samples = unequal_samples(clients, 7);
      Twin<std::int32_t> indices(devices(), clients, 7), y(devices(), clients, 7);
      Twin<float> x(devices(), clients, 7 * image.size());
      indices.set([](int g, std::size_t i) {
        return static_cast<std::int32_t>((5 * i + whole(g)) % kSamples);
      });
      DeviceArray<Placement> placed_cpu(cpu(), clients, 7), placed_gpu(gpu(), clients, 7);
      for (int g = 0; g < clients; ++g) {
        std::vector<Placement> placements(7);
        for (auto& p : placements)
          p = {static_cast<std::int16_t>(static_cast<int>(random.below(9)) - 4),
               static_cast<std::int16_t>(static_cast<int>(random.below(9)) - 4),
               random.below(2) == 1};
        placed_cpu.upload(cpu(), g, std::span<const Placement>(placements));
        placed_gpu.upload(gpu(), g, std::span<const Placement>(placements));
      }
      for (const bool placed : {false, true}) {
        const Grouped<const Placement> none{};
        cpu().gather_batch({samples}, here, indices.cpu(),
                           placed ? Grouped<const Placement>(placed_cpu.view()) : none, x.cpu(),
                           y.cpu());
        gpu().gather_batch({samples}, there, indices.gpu(),
                           placed ? Grouped<const Placement>(placed_gpu.view()) : none, x.gpu(),
                           y.gpu());
        x.expect_close(1e-7, "x");
        y.expect_same_bits("labels");
      }
    }
}

}  // namespace
}  // namespace fedselect::ops
