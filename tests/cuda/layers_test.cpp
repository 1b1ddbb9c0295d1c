// Layers on the GPU against the CPU's: every op, groups of 1, 2 and 7 clients with unequal numbers
// of samples, some of them none.

#include <gtest/gtest.h>

#include "cuda/two_devices.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

class Layers : public OnGpu {};

constexpr unsigned kAll = 7;  // dx, dweight, dbias

/// `wanted`: which outputs of the backward op; a bias is added where its gradient is.
void compare_linear(TwoDevices& devices, const std::vector<int>& samples, const LinearShape& shape,
                    unsigned wanted = kAll) {
  const Arrays a(devices, samples, whole(shape.in), whole(shape.out),
                 whole(shape.in) * whole(shape.out), whole(shape.out));
  const auto run = [&](Ops& ops, const auto& of) {
    ops.linear_forward({samples}, shape, of(a.x), of(a.weight), if_wanted(wanted, 2, of(a.bias)),
                       of(a.y));
    ops.linear_backward({samples}, shape, of(a.x), of(a.weight), of(a.dy),
                        if_wanted(wanted, 0, of(a.dx)), if_wanted(wanted, 1, of(a.dweight)),
                        if_wanted(wanted, 2, of(a.dbias)));
  };
  a.run_on_both(run);
  a.expect_close(kRounding, kRounding);
}

void compare_conv(TwoDevices& devices, const std::vector<int>& samples, const ConvShape& shape,
                  unsigned wanted = kAll) {
  const Arrays a(devices, samples, shape.in.size(), shape.out().size(), shape.weights(),
                 whole(shape.out_channels));
  const auto run = [&](Ops& ops, const auto& of) {
    ops.conv_forward({samples}, shape, of(a.x), of(a.weight), if_wanted(wanted, 2, of(a.bias)),
                     of(a.y));
    ops.conv_backward({samples}, shape, of(a.x), of(a.weight), of(a.dy),
                      if_wanted(wanted, 0, of(a.dx)), if_wanted(wanted, 1, of(a.dweight)),
                      if_wanted(wanted, 2, of(a.dbias)));
  };
  a.run_on_both(run);
  constexpr double kWinograd = 1e-5;  // by which the CPU computes some of these
  a.expect_close(kWinograd, kRounding);
}

TEST_F(Layers, Linear) {
  for (const int clients : kGroups)
    for (const int most : {1, 6})
      for (const auto& [in, out] :
           {std::pair{1, 1}, {31, 33}, {257, 10}, {784, 32}, {32, 31}, {33, 257}, {0, 3}, {5, 0}})
        compare_linear(devices(), unequal_samples(clients, most), {in, out});
}

TEST_F(Layers, LinearOfManySamples) {
  for (const LinearShape& shape : {LinearShape{33, 10}, {8, 32}})
    compare_linear(devices(), {257, 0, 31, 32, 33}, shape);
}

const ConvShape kConvs[] = {
    {{5, 5, 1}, 1, 5, 1, 0},   {{8, 7, 1}, 32, 5, 1, 2},   {{7, 6, 3}, 33, 3, 1, 1},
    {{6, 6, 16}, 31, 3, 2, 1}, {{5, 7, 31}, 64, 3, 1, 1},  {{9, 9, 3}, 16, 7, 2, 3},
    {{6, 5, 33}, 65, 1, 2, 0}, {{4, 4, 2}, 3, 3, 1, 3},    {{1, 1, 1}, 1, 1, 1, 0},
    {{7, 8, 16}, 32, 3, 2, 1}, {{2, 3, 257}, 32, 3, 1, 1}, {{3, 2, 32}, 257, 3, 1, 1},
};

TEST_F(Layers, Convolution) {
  for (const int clients : kGroups)
    for (const ConvShape& shape : kConvs)
      compare_conv(devices(), unequal_samples(clients, clients == 7 ? 3 : 5), shape);
}

TEST_F(Layers, OutputsThatNobodyWantsAreNotWritten) {
  for (unsigned wanted = 0; wanted < kAll; ++wanted) {
    compare_linear(devices(), {5, 0, 33}, {9, 33}, wanted);
    compare_conv(devices(), {5, 0, 3}, {{5, 6, 3}, 9, 3, 1, 1}, wanted);
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
          PoolShape{{8, 6, 4}, 2}, PoolShape{{2, 2, 31}, 2}, PoolShape{{3, 3, 32}, 2}}) {
      const int most = clients == 2 ? 40 : 4;
      const auto samples = unequal_samples(clients, most);
      const std::size_t rows = whole(most);
      Twin<float> x(devices(), clients, rows * shape.in.size());
      Twin<float> dx(devices(), clients, rows * shape.in.size());
      Twin<float> y(devices(), clients, rows * shape.out().size());
      Twin<float> dy(devices(), clients, rows * shape.out().size());
      Twin<std::uint8_t> argmax(devices(), clients, rows * shape.out().size());
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
      Twin<float> mean(devices(), clients, rows * whole(image.channels));
      cpu().mean_pool_forward(group, image, x.cpu(), mean.cpu());
      gpu().mean_pool_forward(group, image, x.gpu(), mean.gpu());
      mean.expect_close(1e-6, "mean");
      cpu().mean_pool_backward(group, image, mean.cpu(), dx.cpu());
      gpu().mean_pool_backward(group, image, mean.gpu(), dx.gpu());
      dx.expect_close(1e-6, "dx of the mean");
    }
}

TEST_F(Layers, NothingIsDoneWhereAllSitOut) {
  const std::vector<int> samples{0, 0};
  const Group group{samples};
  const ImageShape image{2, 2, 4};
  const LinearShape linear{16, 16};
  const ConvShape conv{image, 4, 3, 1, 1};
  const Arrays a(devices(), samples, 16, 16, 256, 16);
  Twin<float> mean(devices(), 2, 4), kept(devices(), 2, 16);
  Twin<std::uint8_t> argmax(devices(), 2, 4);
  Twin<std::int32_t> labels(devices(), 2, 1), correct(devices(), 2, 1);
  Twin<double> loss(devices(), 2, 1);
  gpu().linear_forward(group, linear, a.x.gpu(), a.weight.gpu(), a.bias.gpu(), a.y.gpu());
  gpu().linear_backward(group, linear, a.x.gpu(), a.weight.gpu(), a.dy.gpu(), a.dx.gpu(),
                        a.dweight.gpu(), a.dbias.gpu());
  gpu().conv_forward(group, conv, a.x.gpu(), a.weight.gpu(), a.bias.gpu(), a.y.gpu());
  gpu().conv_backward(group, conv, a.x.gpu(), a.weight.gpu(), a.dy.gpu(), a.dx.gpu(),
                      a.dweight.gpu(), a.dbias.gpu());
  gpu().max_pool_forward(group, {image, 2}, a.x.gpu(), a.y.gpu(), argmax.gpu());
  gpu().max_pool_backward(group, {image, 2}, a.dy.gpu(), argmax.gpu(), a.dx.gpu());
  gpu().mean_pool_forward(group, image, a.x.gpu(), a.y.gpu());
  gpu().mean_pool_backward(group, image, a.dy.gpu(), a.dx.gpu());
  gpu().batch_norm_train(group, {image}, a.x.gpu(), a.weight.gpu(), a.bias.gpu(), mean.gpu(),
                         mean.gpu(), a.y.gpu(), kept.gpu());
  gpu().batch_norm_backward(group, {image}, a.x.gpu(), a.weight.gpu(), kept.gpu(), a.dy.gpu(),
                            a.dx.gpu(), a.dweight.gpu(), a.dbias.gpu());
  gpu().group_norm_forward(group, {image, 2}, a.x.gpu(), a.weight.gpu(), a.bias.gpu(), a.y.gpu(),
                           kept.gpu());
  gpu().group_norm_backward(group, {image, 2}, a.x.gpu(), a.weight.gpu(), kept.gpu(), a.dy.gpu(),
                            a.dx.gpu(), a.dweight.gpu(), a.dbias.gpu());
  gpu().cross_entropy(group, 16, a.x.gpu(), labels.gpu(), a.dx.gpu(), {loss.gpu(), correct.gpu()});
  gpu().add(group, 16, a.x.gpu(), a.y.gpu());
  gpu().sgd_step(group, std::vector<Range>{{0, 16}}, {.rate = 1}, {}, a.dweight.gpu(), a.x.gpu(),
                 {}, {});
  a.expect_untouched();
  mean.expect_same_bits("running statistics"), kept.expect_same_bits("kept");
  argmax.expect_same_bits("argmax");
  loss.expect_same_bits("loss"), correct.expect_same_bits("correct");
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

}  // namespace
}  // namespace fedselect::ops
