#pragma once

#include "ops/cpu/simd.hpp"

/// Winograd's transforms for 4 outputs in a row and a filter of R taps: R + 3 inputs, evaluated at
/// as many points.
///
/// The points are 0, infinity and pairs +-p; a pair shares all but one addition. In Winograd's
/// names the transforms are B^T (data), A^T (output) and its adjoint A, G (filter) and its adjoint
/// G^T: output = A^T ((G filter) * (B^T data)). Row j of B^T holds the coefficients of the product
/// of (x - q) over the points q other than j's; G carries the denominators. Sources: Lavin & Gray,
/// arXiv 1509.09308; points chosen for the least error as in Barabasz et al., arXiv 1803.10986.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// Outputs of a tile along one axis.
inline constexpr int kTile = 4;
/// Points, and inputs of a tile along one axis.
constexpr int points_of(int taps) { return taps + kTile - 1; }

/// What the transforms multiply by, for a filter of R taps.
template <int R>
struct Coefficients {
  static constexpr int kPairs = (points_of(R) - 2) / 2;

  float power[kPairs][kTile];  ///< p^i
  float filter[kPairs][R];     ///< p^i / product of (p - q) over the other finite points q
  float filter_of_zero;        ///< the same for the point 0
  float data[kPairs + 1]
            [kPairs + 1];  ///< [pair, or all of them][degree]: polynomial of the other pairs

  constexpr Coefficients() : power{}, filter{}, filter_of_zero(0), data{} {
    // Magnitudes of the pairs. Relative error of the two-dimensional product in single precision,
    // 32 channels: 7e-7 (3 taps; 1.5e-6 with the customary 1, 2) and 2e-6 (5 taps).
    constexpr double kThreeTaps[] = {0.625, 1.5, 0};
    constexpr double kFiveTaps[] = {0.5, 1.0, 2.0};
    const auto& p = R == 3 ? kThreeTaps : kFiveTaps;
    for (int k = 0; k <= kPairs; ++k) {
      // Product of (x - q^2) over the other pairs; k = kPairs: over all, for the points 0 and
      // infinity.
      double polynomial[kPairs + 1] = {1.0};
      const double own = k == kPairs ? 0.0 : p[k] * p[k];
      double denominator = k == kPairs ? 1.0 : 2.0 * own;
      for (int other = 0; other < kPairs; ++other) {
        if (other == k) continue;
        const double square = p[other] * p[other];
        denominator *= own - square;
        for (int d = kPairs; d > 0; --d) polynomial[d] -= square * polynomial[d - 1];
      }
      for (int d = 0; d <= kPairs; ++d) data[k][d] = static_cast<float>(polynomial[d]);
      if (k == kPairs) {
        filter_of_zero = static_cast<float>(1.0 / denominator);
        continue;
      }
      double p_to_i = 1.0;
      for (int i = 0; i < R || i < kTile; ++i, p_to_i *= p[k]) {
        if (i < kTile) power[k][i] = static_cast<float>(p_to_i);
        if (i < R) filter[k][i] = static_cast<float>(p_to_i / denominator);
      }
    }
  }
};
template <int R>
inline constexpr Coefficients<R> kCoefficients;

template <int R>
inline void transform_data(const Vec* d, Vec* to) {
  constexpr const Coefficients<R>& k = kCoefficients<R>;
  constexpr int kPairs = k.kPairs;
  constexpr int kLast = points_of(R) - 1;
#pragma GCC unroll 4
  for (int pair = 0; pair < kPairs; ++pair) {
    Vec even = d[kLast - 1];
    Vec odd = d[kLast - 2];
#pragma GCC unroll 4
    for (int j = 1; j < kPairs; ++j) {
      even = multiply_add(k.data[pair][j], d[kLast - 1 - 2 * j], even);
      odd = multiply_add(k.data[pair][j], d[kLast - 2 - 2 * j], odd);
    }
    to[1 + 2 * pair] = multiply_add(k.power[pair][1], odd, even);
    to[2 + 2 * pair] = multiply_add(-k.power[pair][1], odd, even);
  }
  to[0] = d[kLast - 1];
  to[kLast] = d[kLast];
#pragma GCC unroll 4
  for (int j = 1; j <= kPairs; ++j) {
    to[0] = multiply_add(k.data[kPairs][j], d[kLast - 1 - 2 * j], to[0]);
    to[kLast] = multiply_add(k.data[kPairs][j], d[kLast - 2 * j], to[kLast]);
  }
}

template <int R>
inline void transform_output(const Vec* m, Vec* y) {
  constexpr const Coefficients<R>& k = kCoefficients<R>;
#pragma GCC unroll 4
  for (int pair = 0; pair < k.kPairs; ++pair) {
    const Vec even = m[1 + 2 * pair] + m[2 + 2 * pair];
    const Vec odd = m[1 + 2 * pair] - m[2 + 2 * pair];
#pragma GCC unroll 4
    for (int i = 0; i < kTile; ++i) {
      const Vec& term = i % 2 == 0 ? even : odd;
      y[i] = pair == 0 ? k.power[pair][i] * term : multiply_add(k.power[pair][i], term, y[i]);
    }
  }
  y[0] += m[0];
  y[kTile - 1] += m[points_of(R) - 1];
}

template <int R>
inline void adjoint_output(const Vec* y, Vec* m) {
  constexpr const Coefficients<R>& k = kCoefficients<R>;
  m[0] = y[0];
  m[points_of(R) - 1] = y[kTile - 1];
#pragma GCC unroll 4
  for (int pair = 0; pair < k.kPairs; ++pair) {
    const Vec even = multiply_add(k.power[pair][2], y[2], y[0]);
    const Vec odd = multiply_add(k.power[pair][3], y[3], k.power[pair][1] * y[1]);
    m[1 + 2 * pair] = even + odd;
    m[2 + 2 * pair] = even - odd;
  }
}

template <int R>
inline void transform_filter(const Vec* g, Vec* to) {
  constexpr const Coefficients<R>& k = kCoefficients<R>;
  to[0] = k.filter_of_zero * g[0];
  to[points_of(R) - 1] = g[R - 1];
#pragma GCC unroll 4
  for (int pair = 0; pair < k.kPairs; ++pair) {
    Vec even = k.filter[pair][0] * g[0];
    Vec odd = k.filter[pair][1] * g[1];
#pragma GCC unroll 8
    for (int i = 2; i < R; ++i) {
      Vec& sum = i % 2 == 0 ? even : odd;
      sum = multiply_add(k.filter[pair][i], g[i], sum);
    }
    to[1 + 2 * pair] = even + odd;
    to[2 + 2 * pair] = even - odd;
  }
}

/// One element of transform_filter, for a point that isn't known at compile time.
template <int R>
inline Vec transform_filter_at(int point, const Vec* g) {
  constexpr const Coefficients<R>& k = kCoefficients<R>;
  if (point == 0) return k.filter_of_zero * g[0];
  if (point == points_of(R) - 1) return g[R - 1];
  const float(&factors)[R] = k.filter[(point - 1) / 2];
  const float sign = point % 2 == 1 ? 1.0F : -1.0F;
  Vec sum = factors[0] * g[0];
#pragma GCC unroll 8
  for (int i = 1; i < R; ++i) {
    sum = multiply_add(i % 2 == 0 ? factors[i] : sign * factors[i], g[i], sum);
  }
  return sum;
}

template <int R>
inline void adjoint_filter(const Vec* h, Vec* g) {
  constexpr const Coefficients<R>& k = kCoefficients<R>;
#pragma GCC unroll 4
  for (int pair = 0; pair < k.kPairs; ++pair) {
    const Vec even = h[1 + 2 * pair] + h[2 + 2 * pair];
    const Vec odd = h[1 + 2 * pair] - h[2 + 2 * pair];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const Vec& term = i % 2 == 0 ? even : odd;
      g[i] = pair == 0 ? k.filter[pair][i] * term : multiply_add(k.filter[pair][i], term, g[i]);
    }
  }
  g[0] = multiply_add(k.filter_of_zero, h[0], g[0]);
  g[R - 1] += h[points_of(R) - 1];
}

/// Applies a transform from In to Out values along both axes. get(i, j) -> Vec, put(i, j, Vec).
template <int In, int Out, class Transform, class Get, class Put>
inline void transform_square(Transform&& transform, Get&& get, Put&& put) {
  Vec half[In][Out];
#pragma GCC unroll 8
  for (int j = 0; j < In; ++j) {
    Vec column[In];
#pragma GCC unroll 8
    for (int i = 0; i < In; ++i) column[i] = get(i, j);
    transform(column, half[j]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < Out; ++i) {
    Vec row[In];
    Vec out[Out];
#pragma GCC unroll 8
    for (int j = 0; j < In; ++j) row[j] = half[j][i];
    transform(row, out);
#pragma GCC unroll 8
    for (int j = 0; j < Out; ++j) put(i, j, out[j]);
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
