#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "data/dataset.hpp"

namespace fedselect::testing {

/// One part of a data set in this process's own memory.
inline Samples make_samples(const std::vector<std::uint8_t>& pixels,
                            const std::vector<std::int32_t>& labels) {
  const auto keep = [](const void* data, std::size_t bytes) {
    auto memory = std::make_shared<std::vector<std::byte>>(bytes);
    std::memcpy(memory->data(), data, bytes);
    return std::shared_ptr<const std::byte>(memory, memory->data());
  };
  return {labels.size(), keep(pixels.data(), pixels.size()),
          keep(labels.data(), labels.size() * sizeof(std::int32_t)), nullptr};
}

/// n random images with labels 0, 1, ..., classes - 1, 0, ...; the class shifts the brightness, so
/// it can be learned.
inline Samples random_samples(std::size_t n, const ops::ImageShape& image, int classes,
                              std::uint32_t name) {
  RandomStream random(7, Purpose::test, name);
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < n; ++i) {
    const auto label = static_cast<int>(i % static_cast<std::size_t>(classes));
    labels.push_back(label);
    const auto base = static_cast<std::uint64_t>(label * 128 / classes);
    for (std::size_t j = 0; j < image.size(); ++j)
      pixels.push_back(static_cast<std::uint8_t>(base + random.below(128)));
  }
  return make_samples(pixels, labels);
}

/// Training and test part of random images, pixels scaled to [-1, 1].
inline Dataset random_dataset(std::size_t train, std::size_t test, const ops::ImageShape& image,
                              int classes) {
  const auto channels = static_cast<std::size_t>(image.channels);
  return {"random",
          image,
          classes,
          std::vector<float>(channels, 0.5F),
          std::vector<float>(channels, 0.5F),
          random_samples(train, image, classes, 1),
          random_samples(test, image, classes, 2),
          GroupKind::none,
          {}};
}

}  // namespace fedselect::testing
