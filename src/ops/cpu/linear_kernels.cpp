#include "ops/cpu/linear_kernels.hpp"

#include "ops/cpu/gemm_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

/// Floats of x that stay in the first-level cache beside a block of weights.
constexpr Index kFirstLevel = 5 * 1024;
/// Floats of x that stay in the second-level cache.
constexpr Index kSecondLevel = 104 * 1024;

/// Few samples leave most lanes empty when samples are the lanes; then the lanes run along `in`.
bool lanes_along_in(Index samples) {
  return samples < kWidth ||
         (samples < 2 * kWidth && samples % kWidth != 0 && samples < kWidth * 3 / 2);
}

Index transposed_depth(const Linear& s) {
  const Index lanes = round_up_to(s.samples, kWidth);
  return max(1, min(s.in, max(kPanel, kSecondLevel / max(lanes, 1) / kPanel * kPanel)));
}

// Dot products: R samples by kDotColumns outputs, R * kDotColumns <= kWidth vectors of partial
// sums.
constexpr int kDotColumns = kWidth == 4 ? 2 : 4;
constexpr int kDotRows = kWidth / kDotColumns;

template <int N>
struct Constant {
  constexpr operator int() const { return N; }  // NOLINT(google-explicit-constructor)
};

template <int R>
void dot_block(const Linear& s, Index depth, const float* x, const float* weight, Index columns,
               const float* bias, bool accumulate, bool prefetch, float* y) {
  const float* w[kDotColumns];
#pragma GCC unroll 4
  for (int j = 0; j < kDotColumns; ++j) w[j] = weight + min(j, columns - 1) * s.in;
  Vec sum[kWidth] = {};
  auto step = [&](auto load_at) {
    Vec wk[kDotColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kDotColumns; ++j) wk[j] = load_at(w[j]);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Vec xk = load_at(x + r * s.in);
#pragma GCC unroll 4
      for (int j = 0; j < kDotColumns; ++j) {
        Vec& partial = sum[r * kDotColumns + j];
        partial = multiply_add(xk, wk[j], partial);
      }
    }
  };
  Index k = 0;
  for (; k + kWidth <= depth; k += kWidth) {
    if (prefetch) {  // the rows of the next block: too short for the hardware to find in time
#pragma GCC unroll 4
      for (int j = 0; j < kDotColumns; ++j) __builtin_prefetch(w[j] + kDotColumns * s.in + k);
    }
    step([k](const float* p) { return load(p + k); });
  }
  if (k < depth) {
    const Lanes lanes(depth - k);
    step([k, &lanes](const float* p) { return load(p + k, lanes); });
  }
  float sums[kWidth];
  store(sums, sums_of_lanes(sum));
  auto finish = [&](auto columns_here) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      for (int j = 0; j < columns_here; ++j) {
        float* out = y + r * s.out + j;
        const float start = accumulate ? *out : bias != nullptr ? bias[j] : 0.0F;
        *out = start + sums[r * kDotColumns + j];
      }
    }
  };
  if (columns == kDotColumns) {
    finish(Constant<kDotColumns>{});
  } else {
    finish(columns);
  }
}

void forward_by_dots(const Linear& s, const float* x, const float* weight, const float* bias,
                     float* y) {
  const Index depth = max(kWidth, kFirstLevel / max(s.samples, 1) / kWidth * kWidth);
  Index k = 0;
  do {  // once even where in = 0: y is the bias then
    const Index depth_here = min(depth, s.in - k);
    for (Index o = 0; o < s.out; o += kDotColumns) {
      const Index columns = min(kDotColumns, s.out - o);
      const float* o_bias = bias == nullptr ? nullptr : bias + o;
      for (Index m = 0; m < s.samples;) {
        const Index blocks = ceil_div(s.samples - m, kDotRows);
        const Index rows = ceil_div(s.samples - m, blocks);
        const float* xm = x + m * s.in + k;
        const float* wo = weight + o * s.in + k;
        float* ym = y + m * s.out + o;
        switch (rows) {
          case 1: dot_block<1>(s, depth_here, xm, wo, columns, o_bias, k > 0, m == 0, ym); break;
          case 2: dot_block<2>(s, depth_here, xm, wo, columns, o_bias, k > 0, m == 0, ym); break;
#if defined(__AVX512F__)
          case 3: dot_block<3>(s, depth_here, xm, wo, columns, o_bias, k > 0, m == 0, ym); break;
          case 4: dot_block<4>(s, depth_here, xm, wo, columns, o_bias, k > 0, m == 0, ym); break;
#endif
          default: break;
        }
        m += rows;
      }
    }
    k += depth_here;
  } while (k < s.in);
}

}  // namespace

Index linear_scratch(const Linear& s) {
  if (lanes_along_in(s.samples)) return 0;
  const Index lanes = round_up_to(s.samples, kWidth);
  Arena arena;
  arena.take(transposed_depth(s) * lanes);
  arena.take(s.out * lanes);
  return arena.size;
}

void linear_forward(const Linear& s, const float* x, const float* weight, const float* bias,
                    float* y, float* scratch) {
  if (lanes_along_in(s.samples)) {
    forward_by_dots(s, x, weight, bias, y);
    return;
  }
  // Samples are the lanes: y^T = weight x^T. Each weight is read once, as the broadcast element;
  // x^T (at most kSecondLevel floats at a time) and y^T stay in the second-level cache.
  const Index lanes = round_up_to(s.samples, kWidth);
  const Index depth = transposed_depth(s);
  Arena arena;
  float* xt = scratch + arena.take(depth * lanes);
  float* yt = scratch + arena.take(s.out * lanes);
  if (lanes != s.samples) fill(xt, depth * lanes, 0.0F);
  Index k = 0;
  do {
    const Index depth_here = min(depth, s.in - k);
    transpose(x + k, s.in, s.samples, depth_here, xt, lanes);
    Product p;
    p.a = weight + k;
    p.a_row = s.in;
    p.b = xt;
    p.b_step = lanes;
    p.c = yt;
    p.c_row = lanes;
    p.rows = s.out;
    p.columns = lanes;
    p.depth = depth_here;
    p.accumulate = k > 0;
    p.rows_outer = true;
    multiply(p);
    k += depth_here;
  } while (k < s.in);
  transpose(yt, lanes, s.out, s.samples, y, s.out);
  if (bias == nullptr) return;
  for (Index m = 0; m < s.samples; ++m) {
    for (Index o = 0; o < s.out; o += kWidth) {
      const Lanes here(min(kWidth, s.out - o));
      float* ym = y + m * s.out + o;
      store(ym, load(ym, here) + load(bias + o, here), here);
    }
  }
}

void linear_backward(const Linear& s, const float* x, const float* weight, const float* dy,
                     float* dx, float* dweight, float* dbias) {
  if (dbias != nullptr) {
    fill(dbias, s.out, 0.0F);
    add_column_sums(dy, s.samples, s.out, dbias);
  }
  if (dweight != nullptr) {
    // dweight = dy^T x: the depth is the number of samples, so writing dweight once is what costs
    // besides arithmetic.
    Product p;
    p.a = dy;
    p.a_row = 1;
    p.a_step = s.out;
    p.b = x;
    p.b_step = s.in;
    p.c = dweight;
    p.c_row = s.in;
    p.rows = s.out;
    p.columns = s.in;
    p.depth = s.samples;
    p.rows_outer = true;
    multiply(p);
  }
  if (dx != nullptr) {
    // dx = dy weight, a few rows of the weight at a time: they are read once, in order; dx stays in
    // the second-level cache.
    constexpr Index kRowsOfWeight = 64;
    Index o = 0;
    do {
      const Index depth = min(kRowsOfWeight, s.out - o);
      Product p;
      p.a = dy + o;
      p.a_row = s.out;
      p.b = weight + o * s.in;
      p.b_step = s.in;
      p.c = dx;
      p.c_row = s.in;
      p.rows = s.samples;
      p.columns = s.in;
      p.depth = depth;
      p.accumulate = o > 0;
      p.prefetch = kPanel;
      multiply(p);
      o += depth;
    } while (o < s.out);
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
