// Norms on the GPU against the CPU's, and for more samples than other layers are tested with.

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cuda/two_devices.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

class Norms : public OnGpu {};

TEST_F(Norms, BatchNorm) {
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

/// Rows of a client in several parts, and few; some outputs only.
TEST_F(Norms, BatchNormOfManySamples) {
  for (const int channels : {31, 32})
    for (const unsigned wanted : {7U, 1U, 6U}) {
      const BatchNormShape shape{{3, 2, channels}};
      const std::vector<int> samples{200, 0, 86, 1};
      const Arrays a(devices(), samples, shape.in);
      Twin<float> mean(devices(), 4, whole(channels)), variance(devices(), 4, whole(channels));
      Twin<float> kept(devices(), 4, 2 * whole(channels));
      a.run_on_both([&](Ops& ops, const auto& of) {
        ops.batch_norm_train({samples}, shape, of(a.x), of(a.weight), of(a.bias), of(mean),
                             of(variance), of(a.y), of(kept));
        ops.batch_norm_backward({samples}, shape, of(a.x), of(a.weight), of(kept), of(a.dy),
                                if_wanted(wanted, 0, of(a.dx)), if_wanted(wanted, 1, of(a.dweight)),
                                if_wanted(wanted, 2, of(a.dbias)));
      });
      a.expect_close(1e-5, kRounding);
      kept.expect_close(kRounding, "kept");
      mean.expect_close(kRounding, "running mean");
      variance.expect_close(kRounding, "running variance");
    }
}

TEST_F(Norms, GroupNormOfManySamples) {
  for (const auto& [channels, groups] : {std::pair{32, 8}, {31, 1}})
    for (const unsigned wanted : {7U, 1U, 6U}) {
      const GroupNormShape shape{{3, 2, channels}, groups};
      const std::vector<int> samples{100, 0, 86, 1};
      const Arrays a(devices(), samples, shape.in);
      Twin<float> kept(devices(), 4, 100 * 2 * whole(groups));
      a.run_on_both([&](Ops& ops, const auto& of) {
        ops.group_norm_forward({samples}, shape, of(a.x), of(a.weight), of(a.bias), of(a.y),
                               of(kept));
        ops.group_norm_backward({samples}, shape, of(a.x), of(a.weight), of(kept), of(a.dy),
                                if_wanted(wanted, 0, of(a.dx)), if_wanted(wanted, 1, of(a.dweight)),
                                if_wanted(wanted, 2, of(a.dbias)));
      });
      a.expect_close(1e-5, kRounding);
      kept.expect_close(kRounding, "kept");
    }
}

TEST_F(Norms, GroupNorm) {
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

TEST_F(Norms, NormsOfMoreRowsThanBlocksAddUpSideBySide) {
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

TEST_F(Norms, NormsRefuseWhatTheyCantCount) {
  const std::vector<int> samples{2675};
  const ImageShape image{112, 112, 64};
  EXPECT_THROW(gpu().batch_norm_train({samples}, {image}, {}, {}, {}, {}, {}, {}, {}), InputError);
  EXPECT_THROW(gpu().batch_norm_backward({samples}, {image}, {}, {}, {}, {}, {}, {}, {}),
               InputError);
  EXPECT_THROW(gpu().group_norm_forward({samples}, {image, 2}, {}, {}, {}, {}, {}), InputError);
  EXPECT_THROW(gpu().group_norm_backward({samples}, {image, 2}, {}, {}, {}, {}, {}, {}, {}),
               InputError);
}

}  // namespace
}  // namespace fedselect::ops
