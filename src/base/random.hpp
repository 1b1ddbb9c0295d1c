#pragma once

#include <Random123/philox.h>

#include <cstdint>
#include <limits>
#include <span>

namespace fedselect {

/// What a stream of random numbers is for. The value enters the stream's name, so it never changes.
enum class Purpose : std::uint32_t {
  initial_weights = 1,
  partition = 2,
  cohort = 3,
  batch_order = 4,
  feature_shift = 5,
  augmentation = 6,
  faults = 7,
  sweep = 8,
  test = 99
};

/// Random numbers that depend on a name only: (seed, purpose, client, round, step).
///
/// No generator state exists between streams: any rank can draw any client's numbers, in any order,
/// and gets the same ones. Source: Philox4x32-10, Salmon et al., SC 2011 (Random123).
/// Satisfies UniformRandomBitGenerator, but don't feed it to std distributions: their sequences
/// differ between standard libraries. Use the members.
class RandomStream {
 public:
  using result_type = std::uint32_t;

  RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t client = 0,
               std::uint32_t round = 0, std::uint32_t step = 0);

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  /// 32 random bits.
  result_type operator()();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in {0, ..., n - 1}, without bias. n > 0.
  std::uint64_t below(std::uint64_t n);
  /// Standard normal (Box-Muller).
  double normal();
  /// Gamma(shape, 1), shape > 0. Source: Marsaglia and Tsang, ACM TOMS 26 (2000).
  double gamma(double shape);

  /// Fisher-Yates shuffle in place.
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  r123::Philox4x32 philox_;
  r123::Philox4x32::ctr_type counter_{};
  r123::Philox4x32::key_type key_{};
  r123::Philox4x32::ctr_type block_{};
  int used_ = 4;
};

}  // namespace fedselect
