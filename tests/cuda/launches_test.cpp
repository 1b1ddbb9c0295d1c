// A training step of many clients costs as many launches as one of a single client.

#include <gtest/gtest.h>

#include <numeric>

#include "base/pulse.hpp"
#include "cuda/two_devices.hpp"
#include "host/streams.hpp"
#include "model/activations.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

using cuda::host::enqueued;

constexpr int kBatch = 3;

/// Launches of forward, backward, clipping and an SGD step with momentum by mask for so many
/// clients with unequal numbers of samples, the second time round: the first sends constants to the
/// device.
std::size_t launches_of_a_step(ops::Ops& ops, const Network& network, int clients) {
  Activations activations(ops, network, clients, kBatch, kBatch);
  const std::size_t size = network.layout().padded_size();
  const ops::DeviceArray<float> theta(ops, clients, size), gradient(ops, clients, size);
  const ops::DeviceArray<float> velocity(ops, clients, size), scale(ops, clients, 1);
  const ops::DeviceArray<Word> mask(ops, clients, network.layout().words());
  const ops::DeviceArray<double> loss(ops, clients, 1);
  const ops::DeviceArray<std::int32_t> correct(ops, clients, 1);
  std::vector<int> samples;
  for (int g = 0; g < clients; ++g) samples.push_back(kBatch - g % (kBatch + 1));
  const std::vector<char> wanted(network.layout().tensors().size(), 1);
  const auto step = [&] {
    const std::size_t before = enqueued();
    activations.forward({samples}, theta.view(), Mode::training);
    activations.backward({samples}, theta.view(), wanted, gradient.view(),
                         {loss.view(), correct.view()});
    ops.clip_scale({samples}, network.layout().ranges(), 1, gradient.view(), scale.view());
    ops.sgd_step({samples}, network.layout().ranges(),
                 {.rate = 0.1F, .momentum = 0.9F, .scope = ops::Scope::shared}, scale.view(),
                 theta.view(), gradient.view(), velocity.view(), mask.view());
    return enqueued() - before;
  };
  step();
  return step();
}

TEST(Launches, AreAsManyForAnyNumberOfClients) {
  const auto ops = cuda::make_ops(0);
  for (const ModelKind kind : {ModelKind::mlp, ModelKind::cnn, ModelKind::resnet8}) {
    const Network network({.name = kind, .hidden = kind == ModelKind::resnet8 ? 0 : 16},
                          {12, 12, 1}, 4);
    const std::size_t alone = launches_of_a_step(*ops, network, 1);
    EXPECT_GT(alone, 5U);
    for (const int clients : {2, 7}) EXPECT_EQ(launches_of_a_step(*ops, network, clients), alone);
  }
}

/// Numbers of samples that never came before take no memory.
TEST(Memory, IsTheSameForAnyNumbersOfSamples) {
  const auto ops = cuda::make_ops(0);
  const ops::DeviceArray<float> x(*ops, 2, 100);
  const auto add = [&](int first, int second) {
    ops->add({std::vector<int>{first, second}}, 1, x.view(), x.view());
  };
  add(1, 1);
  const std::size_t free = cuda::free_memory();
  for (int i = 0; i < 1000; ++i) add(i % 100, i / 10);
  EXPECT_EQ(cuda::free_memory(), free);
}

/// The host is a few batches ahead of the device at most, so that a watchdog which looks at the
/// host sees whether the device works.
TEST(Batches, HostWaitsForTheDevice) {
  const auto ops = cuda::make_ops(0);
  constexpr std::size_t kBatches = 20, kAhead = ops::Ops::kBatchesAhead;
  const ops::DeviceArray<float> theta(*ops, 1, kBatches);
  const std::vector<float> one(1, 1);
  for (std::size_t i = 0; i < kBatches; ++i) {
    ops->begin_batch();
    for (std::size_t done = 0; done + kAhead < i; ++done) EXPECT_EQ(theta.of(0)[done], 1) << i;
    EXPECT_NE(theta.of(0)[i], 1);
    ops->upload(theta.of(0) + i, one.data(), sizeof(float));
  }
  const auto beats = pulse::beats();
  ops->finish_batches();
  EXPECT_EQ(pulse::beats() - beats, kAhead);
  for (std::size_t i = 0; i + 1 < kBatches; ++i) EXPECT_EQ(theta.of(0)[i], 1) << i;
}

/// Selection too, whatever the number of tensors.
TEST(Launches, OfASelectionAreConstant) {
  const auto ops = cuda::make_ops(0);
  std::size_t expected = 0;
  for (const int clients : {1, 2, 7})
    for (const std::size_t tensors : {1U, 5U, 40U}) {
      std::vector<ops::Range> ranges;
      for (std::size_t t = 0; t < tensors; ++t) ranges.push_back({t * 128, 100});
      const std::size_t size = tensors * 128;
      const ops::DeviceArray<float> score(*ops, clients, size);
      const ops::DeviceArray<Word> eligible(*ops, clients, size / 64),
          chosen(*ops, clients, size / 64);
      const std::vector<int> samples(static_cast<std::size_t>(clients), 1);
      const std::vector<std::int64_t> counts(static_cast<std::size_t>(clients) * tensors, 10);
      std::size_t launches = 0;
      for (int twice = 0; twice < 2; ++twice) {
        const std::size_t before = enqueued();
        ops->select_top({samples}, ranges, counts, ops::Ties::exact, false, score.view(),
                        eligible.view(), chosen.view());
        launches = enqueued() - before;
      }
      if (expected == 0) expected = launches;
      EXPECT_EQ(launches, expected) << clients << " clients, " << tensors << " tensors";
    }
}

}  // namespace
}  // namespace fedselect
