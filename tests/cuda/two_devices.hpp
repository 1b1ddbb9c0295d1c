#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "base/random.hpp"
#include "cuda_device.hpp"
#include "ops/device_array.hpp"

/// What the tests of the GPU's op set share: it and the CPU's side by side, given the same arrays.
namespace fedselect::ops::test {

/// Sizes that break kernels.
inline constexpr std::size_t kSizes[] = {0, 1, 31, 32, 33, 64, 257, 1000};
inline constexpr int kGroups[] = {1, 2, 7};

/// Unequal numbers of samples, some zero; `most` at most.
inline std::vector<int> unequal_samples(int clients, int most) {
  std::vector<int> samples;
  for (int g = 0; g < clients; ++g)
    samples.push_back(g % 4 == 1 ? 0 : std::max(1, most - 2 * (g % 3)));
  return samples;
}

inline int most_of(const std::vector<int>& samples) {
  return *std::max_element(samples.begin(), samples.end());
}

inline constexpr double kRounding = 2e-6;  ///< sums in single precision, in another order

inline std::size_t whole(int n) { return static_cast<std::size_t>(n); }

struct TwoDevices {
  std::unique_ptr<Ops> cpu = make_cpu_ops();
  std::unique_ptr<Ops> gpu = cuda::make_ops(0);
};

/// Tests that are skipped where there is no GPU.
class OnGpu : public testing::Test {
 protected:
  void SetUp() override {
    const auto visible = cuda::visible_devices();
    if (visible.count == 0) GTEST_SKIP() << "no GPU: " << visible.obstacle;
    devices_ = std::make_unique<TwoDevices>();
  }
  TwoDevices& devices() { return *devices_; }
  Ops& cpu() { return *devices_->cpu; }
  Ops& gpu() { return *devices_->gpu; }

 private:
  std::unique_ptr<TwoDevices> devices_;
};

/// One array of every client on both devices, with a gap behind each that nobody may touch. Holds
/// what no op writes until it is set, so an op that writes where it should not is seen.
template <class T>
class Twin {
 public:
  Twin(TwoDevices& devices, int clients, std::size_t count)
      : devices_(devices),
        clients_(clients),
        count_(count),
        cpu_(*devices.cpu, clients, count + kGap),
        gpu_(*devices.gpu, clients, count + kGap) {
    constexpr double kSmall = std::is_integral_v<T> ? 1 : 1e-3;  // beside what ops write
    set([](int g, std::size_t i) {
      return static_cast<T>(kSmall *
                            static_cast<double>(1 + (i + static_cast<std::size_t>(g)) % 27));
    });
  }

  /// Sets every element, gaps included, to value(client, index).
  template <class Value>
  void set(const Value& value) {
    std::vector<T> values(count_ + kGap);
    for (int g = 0; g < clients_; ++g) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = value(g, i);
      cpu_.upload(*devices_.cpu, g, std::span<const T>(values));
      gpu_.upload(*devices_.gpu, g, std::span<const T>(values));
    }
  }
  /// Normal values, gaps included.
  void randomize(std::uint32_t seed) {
    RandomStream random(seed, Purpose::test);
    set([&](int, std::size_t) { return static_cast<T>(random.normal()); });
  }

  Grouped<T> cpu() const { return cpu_.view(); }
  Grouped<T> gpu() const { return gpu_.view(); }
  std::vector<T> on_cpu(int g) const { return read(*devices_.cpu, cpu_, g); }
  std::vector<T> on_gpu(int g) const { return read(*devices_.gpu, gpu_, g); }

  /// Both hold the same bits, gaps included.
  void expect_same_bits(const char* what) const {
    for (int g = 0; g < clients_; ++g) {
      const auto a = on_cpu(g), b = on_gpu(g);
      for (std::size_t i = 0; i < a.size(); ++i)
        ASSERT_TRUE(std::memcmp(&a[i], &b[i], sizeof(T)) == 0)
            << what << ": client " << g << ", element " << i << " of " << count_ << ": cpu "
            << +a[i] << ", gpu " << +b[i];
    }
  }
  /// Each client's difference is at most `tolerance` times the largest magnitude of what the CPU
  /// has; gaps are the same.
  void expect_close(double tolerance, const char* what) const {
    for (int g = 0; g < clients_; ++g) {
      const auto a = on_cpu(g), b = on_gpu(g);
      double largest = 0;
      for (std::size_t i = 0; i < count_; ++i)
        largest = std::max(largest, std::abs(static_cast<double>(a[i])));
      for (std::size_t i = 0; i < a.size(); ++i)
        ASSERT_LE(std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])),
                  i < count_ ? tolerance * largest : 0)
            << what << ": client " << g << ", element " << i << " of " << count_ << ": cpu "
            << +a[i] << ", gpu " << +b[i];
    }
  }

 private:
  static constexpr std::size_t kGap = 64;

  std::vector<T> read(Ops& ops, const DeviceArray<T>& array, int g) const {
    std::vector<T> values(count_ + kGap);
    array.download(ops, g, std::span(values));
    return values;
  }

  TwoDevices& devices_;
  int clients_;
  std::size_t count_;
  DeviceArray<T> cpu_;
  DeviceArray<T> gpu_;
};

/// The array, if its bit is set in `wanted`; else null.
template <class T>
Grouped<T> if_wanted(unsigned wanted, unsigned bit, const Grouped<T>& array) {
  return ((wanted >> bit) & 1U) != 0 ? array : Grouped<T>{};
}

/// What a layer with parameters reads and writes, for clients with so many samples.
struct Arrays {
  TwoDevices& both;
  std::vector<int> samples;
  Twin<float> x, y, dy, dx, weight, bias, dweight, dbias;

  Arrays(TwoDevices& devices, const std::vector<int>& per_client, std::size_t in, std::size_t out,
         std::size_t weights, std::size_t biases)
      : both(devices),
        samples(per_client),
        x(devices, clients(), most() * in),
        y(devices, clients(), most() * out),
        dy(devices, clients(), most() * out),
        dx(devices, clients(), most() * in),
        weight(devices, clients(), weights),
        bias(devices, clients(), biases),
        dweight(devices, clients(), weights),
        dbias(devices, clients(), biases) {
    x.randomize(1), weight.randomize(2), bias.randomize(3), dy.randomize(4);
  }
  /// Of a layer whose outputs have the shape of its inputs, with `channels` weights and biases.
  Arrays(TwoDevices& devices, const std::vector<int>& per_client, const ImageShape& image)
      : Arrays(devices, per_client, image.size(), image.size(), whole(image.channels),
               whole(image.channels)) {}

  int clients() const { return static_cast<int>(samples.size()); }
  std::size_t most() const { return static_cast<std::size_t>(most_of(samples)); }

  /// layer(ops, of): `of` gives an array's view on that device.
  template <class Layer>
  void run_on_both(const Layer& layer) const {
    layer(*both.cpu, [](const Twin<float>& array) { return array.cpu(); });
    layer(*both.gpu, [](const Twin<float>& array) { return array.gpu(); });
  }
  void expect_close(double tolerance, double tolerance_of_bias) const {
    y.expect_close(tolerance, "y");
    dx.expect_close(tolerance, "dx");
    dweight.expect_close(tolerance, "dweight");
    dbias.expect_close(tolerance_of_bias, "dbias");
  }
  /// Nobody wrote anything.
  void expect_untouched() const {
    const Twin<float> fresh(both, clients(), 1000);
    for (const Twin<float>* output : {&y, &dx, &dweight, &dbias})
      for (int g = 0; g < clients(); ++g) {
        const auto here = output->on_gpu(g), other = fresh.on_gpu(g);
        for (std::size_t i = 0; i < std::min(here.size(), other.size()); ++i)
          ASSERT_EQ(here[i], other[i]) << "client " << g << ", element " << i;
      }
  }

  /// `layer` is worked out for all clients, then for each alone: to the same bits.
  template <class Layer>
  void expect_alone_as_together(const Layer& layer) const {
    const auto outputs = [&](int g) {
      return std::vector{y.on_gpu(g), dx.on_gpu(g), dweight.on_gpu(g), dbias.on_gpu(g)};
    };
    layer(Group{samples}, [](const Twin<float>& array) { return array.gpu(); });
    std::vector<decltype(outputs(0))> together;
    for (int g = 0; g < clients(); ++g) together.push_back(outputs(g));
    for (int g = 0; g < clients(); ++g) {
      const std::vector<int> one{samples[static_cast<std::size_t>(g)]};
      layer(Group{one}, [g](const Twin<float>& array) {
        return Values{array.gpu()[g], array.gpu().stride};
      });
      EXPECT_EQ(outputs(g), together[static_cast<std::size_t>(g)]) << g;
    }
  }
};

}  // namespace fedselect::ops::test
