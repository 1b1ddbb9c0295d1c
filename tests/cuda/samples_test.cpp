// What reads samples and their labels on the GPU against the CPU's: batches, losses, features by
// class.

#include <gtest/gtest.h>

#include "cuda/two_devices.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

class SamplesOnGpu : public OnGpu {};

/// The labels of `rows` samples a client.
void set_labels(Twin<std::int32_t>& labels, int classes) {
  labels.set([classes](int g, std::size_t i) {
    return static_cast<std::int32_t>((3 * i + whole(g)) % whole(classes));
  });
}

TEST_F(SamplesOnGpu, CrossEntropy) {
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

TEST_F(SamplesOnGpu, CrossEntropyOfManySamples) {
  const std::vector<int> samples{300, 0, 257, 32};
  for (const int classes : {2, 32, 257}) {
    Twin<float> logits(devices(), 4, 300 * whole(classes)),
        dlogits(devices(), 4, 300 * whole(classes));
    Twin<std::int32_t> labels(devices(), 4, 300), correct(devices(), 4, 1);
    Twin<double> loss(devices(), 4, 1);
    logits.randomize(1);
    set_labels(labels, classes);
    for (const bool trains : {true, false}) {
      cpu().cross_entropy({samples}, classes, logits.cpu(), labels.cpu(),
                          trains ? dlogits.cpu() : Values{}, {loss.cpu(), correct.cpu()});
      gpu().cross_entropy({samples}, classes, logits.gpu(), labels.gpu(),
                          trains ? dlogits.gpu() : Values{}, {loss.gpu(), correct.gpu()});
      dlogits.expect_close(1e-6, "dlogits");
      loss.expect_close(1e-12, "loss");
      correct.expect_same_bits("correct");
    }
  }
}

TEST_F(SamplesOnGpu, FeaturesByClass) {
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

TEST_F(SamplesOnGpu, Batches) {
  constexpr int kSamples = 20;
  for (const int clients : kGroups)
    for (const ImageShape& image : {ImageShape{5, 4, 1}, {3, 6, 3}, {1, 1, 1}, {11, 3, 1}}) {
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
      const int most = clients == 2 ? 257 : 7;
      const auto samples = unequal_samples(clients, most);
      const std::size_t rows = whole(most);
      Twin<std::int32_t> indices(devices(), clients, rows), y(devices(), clients, rows);
      Twin<float> x(devices(), clients, rows * image.size());
      indices.set([](int g, std::size_t i) {
        return static_cast<std::int32_t>((5 * i + whole(g)) % kSamples);
      });
      DeviceArray<Placement> placed_cpu(cpu(), clients, rows), placed_gpu(gpu(), clients, rows);
      for (int g = 0; g < clients; ++g) {
        std::vector<Placement> placements(rows);
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
        // Three roundings of values up to 1, the last of them divided by 0.25: beside a value of a
        // third, the largest of the smallest images.
        x.expect_close(1e-6, "x");
        y.expect_same_bits("labels");
      }
    }
}

}  // namespace
}  // namespace fedselect::ops
