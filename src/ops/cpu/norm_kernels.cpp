#include "ops/cpu/norm_kernels.hpp"

/// Passes over a [row][channel] array for batch and group norm. Bytes limit them: each reads its
/// arrays once, in blocks of rows that stay in the first-level cache while they are worked on.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

/// All lanes of a vector, where the others would be a Lanes.
struct AllOfThem {};
inline Vec load(const float* p, AllOfThem /*lanes*/) { return FEDSELECT_ISA::load(p); }
inline void store(float* p, Vec v, AllOfThem /*lanes*/) { FEDSELECT_ISA::store(p, v); }

/// Calls act(channel, lanes) for each vector of channels.
template <class Act>
void for_each_vector(Index channels, Act&& act) {
  Index c = 0;
  for (; c + kWidth <= channels; c += kWidth) act(c, AllOfThem{});
  if (c < channels) act(c, Lanes(channels - c));
}

/// Calls act(first row, rows) for blocks of rows.
template <class Act>
void for_each_block(Index rows, Index channels, Act&& act) {
  constexpr Index kBlockFloats = 4096;
  constexpr Index kFewest = 32;  // so that what is done once a block costs little
  constexpr Index kMost = 256;   // so that sums in single precision round little
  const Index most = min(kMost, max(kFewest, kBlockFloats / max(channels, 1)));
  for (Index row = 0; row < rows; row += most) act(row, min(most, rows - row));
}

constexpr Index kUnroll = 4;  // independent sums hide the latency of an addition

/// The sum over the rows of term(row).
template <class Term>
inline Vec sum_of(Index rows, Term&& term) {
  Vec sum[kUnroll] = {};
  Index i = 0;
  for (; i + kUnroll <= rows; i += kUnroll) {
#pragma GCC unroll 4
    for (Index u = 0; u < kUnroll; ++u) sum[u] += term(i + u);
  }
  for (; i < rows; ++i) sum[0] += term(i);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

void channel_moments(Index rows, Index channels, const float* x, double* mean, double* squares) {
  for (Index c = 0; c < channels; ++c) mean[c] = squares[c] = 0;
  for_each_block(rows, channels, [&](Index row, Index count) {
    const float* block = x + row * channels;
    // Moments of two sets of values combine exactly. Source: Chan, Golub & LeVeque, 1979.
    const double share = static_cast<double>(count) / static_cast<double>(row + count);
    const double cross = static_cast<double>(row) * share;
    for_each_vector(channels, [&](Index c, auto lanes) {
      const Vec middle =
          sum_of(count, [&](Index i) { return load(block + i * channels + c, lanes); }) /
          broadcast(static_cast<float>(count));
      const Vec deviations = sum_of(count, [&](Index i) {
        const Vec d = load(block + i * channels + c, lanes) - middle;
        return d * d;
      });
      for (Index lane = 0; lane < min(kWidth, channels - c); ++lane) {
        const double delta = middle[lane] - mean[c + lane];
        mean[c + lane] += delta * share;
        squares[c + lane] += deviations[lane] + delta * delta * cross;
      }
    });
  });
}

void channel_affine(Index rows, Index channels, const float* x, const float* mean,
                    const float* scale, const float* shift, float* y) {
  for_each_block(rows, channels, [&](Index row, Index count) {
    for_each_vector(channels, [&](Index c, auto lanes) {
      const Vec middle = load(mean + c, lanes);
      const Vec factor = load(scale + c, lanes);
      const Vec offset = load(shift + c, lanes);
      const Index begin = row * channels + c;
      for (Index i = 0; i < count; ++i) {
        const Vec value = load(x + begin + i * channels, lanes);
        store(y + begin + i * channels, multiply_add(value - middle, factor, offset), lanes);
      }
    });
  });
}

void channel_products(Index rows, Index channels, const float* x, const float* mean,
                      const float* dy, double* sum, double* product) {
  for (Index c = 0; c < channels; ++c) sum[c] = product[c] = 0;
  for_each_block(rows, channels, [&](Index row, Index count) {
    for_each_vector(channels, [&](Index c, auto lanes) {
      const Vec middle = load(mean + c, lanes);
      const Index begin = row * channels + c;
      const auto gradient = [&](Index i) { return load(dy + begin + i * channels, lanes); };
      const Vec sums = sum_of(count, gradient);
      const Vec products = sum_of(count, [&](Index i) {
        return gradient(i) * (load(x + begin + i * channels, lanes) - middle);
      });
      for (Index lane = 0; lane < min(kWidth, channels - c); ++lane) {
        sum[c + lane] += sums[lane];
        product[c + lane] += products[lane];
      }
    });
  });
}

void channel_gradient(Index rows, Index channels, const float* x, const float* dy,
                      const NormGradient& norm, float* dx) {
  for_each_block(rows, channels, [&](Index row, Index count) {
    for_each_vector(channels, [&](Index c, auto lanes) {
      const Vec middle = load(norm.mean + c, lanes);
      const Vec of_dy = load(norm.of_dy + c, lanes);
      const Vec of_x = load(norm.of_x + c, lanes);
      const Vec constant = load(norm.constant + c, lanes);
      const Index begin = row * channels + c;
      for (Index i = 0; i < count; ++i) {
        const Vec deviation = load(x + begin + i * channels, lanes) - middle;
        const Vec gradient = load(dy + begin + i * channels, lanes);
        store(dx + begin + i * channels,
              multiply_add(of_dy, gradient, multiply_add(of_x, deviation, constant)), lanes);
      }
    });
  });
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
