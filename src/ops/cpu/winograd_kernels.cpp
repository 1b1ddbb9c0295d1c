#include "ops/cpu/winograd_kernels.hpp"

#include "ops/cpu/conv_weights.hpp"
#include "ops/cpu/gemm_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

/// Points at which the polynomials are evaluated: 0, +-kP, +-kQ and infinity.
constexpr int kPoints = 6;
constexpr int kCells = kPoints * kPoints;
constexpr float kP = 1.0F;
constexpr float kQ = 0.5F;
constexpr float kP2 = kP * kP;
constexpr float kQ2 = kQ * kQ;

// One-dimensional transforms between 6 inputs, M outputs and R = 7 - M filter taps. They are, in
// Winograd's names, B^T (data), A^T (output) and its adjoint A, G (filter) and its adjoint G^T. Row
// j of B^T holds the coefficients of the product of (x - p) over the other points p; G carries the
// denominators.

inline void transform_data(const Vec (&d)[kPoints], Vec (&to)[kPoints]) {
  const Vec even_p = d[4] - kQ2 * d[2];
  const Vec odd_p = kP * (d[3] - kQ2 * d[1]);
  const Vec even_q = d[4] - kP2 * d[2];
  const Vec odd_q = kQ * (d[3] - kP2 * d[1]);
  to[0] = (d[4] - (kP2 + kQ2) * d[2]) + (kP2 * kQ2) * d[0];
  to[1] = even_p + odd_p;
  to[2] = even_p - odd_p;
  to[3] = even_q + odd_q;
  to[4] = even_q - odd_q;
  to[5] = (d[5] - (kP2 + kQ2) * d[3]) + (kP2 * kQ2) * d[1];
}

template <int M>
inline void transform_output(const Vec (&m)[kPoints], Vec (&y)[M]) {
  const Vec even_p = m[1] + m[2];
  const Vec odd_p = m[1] - m[2];
  const Vec even_q = m[3] + m[4];
  const Vec odd_q = m[3] - m[4];
  y[0] = m[0] + even_p + even_q;
  y[1] = kP * odd_p + kQ * odd_q;
  if constexpr (M == 4) {
    y[2] = kP2 * even_p + kQ2 * even_q;
    y[3] = (kP2 * kP) * odd_p + (kQ2 * kQ) * odd_q;
  }
  y[M - 1] += m[5];
}

template <int M>
inline void adjoint_output(const Vec (&y)[M], Vec (&m)[kPoints]) {
  Vec even_p = y[0];
  Vec even_q = y[0];
  Vec odd_p = kP * y[1];
  Vec odd_q = kQ * y[1];
  if constexpr (M == 4) {
    even_p += kP2 * y[2];
    even_q += kQ2 * y[2];
    odd_p += (kP2 * kP) * y[3];
    odd_q += (kQ2 * kQ) * y[3];
  }
  m[0] = y[0];
  m[1] = even_p + odd_p;
  m[2] = even_p - odd_p;
  m[3] = even_q + odd_q;
  m[4] = even_q - odd_q;
  m[5] = y[M - 1];
}

constexpr float power(float p, int n) { return n == 0 ? 1.0F : p * power(p, n - 1); }
constexpr float kScale0 = 1.0F / (kP2 * kQ2);
constexpr float kScaleP = 1.0F / (2.0F * kP2 * (kP2 - kQ2));
constexpr float kScaleQ = 1.0F / (2.0F * kQ2 * (kQ2 - kP2));

template <int R>
inline void transform_filter(const Vec (&g)[R], Vec (&to)[kPoints]) {
  Vec even_p{}, odd_p{}, even_q{}, odd_q{};
#pragma GCC unroll 8
  for (int k = 0; k < R; ++k) {
    if (k % 2 == 0) {
      even_p += (kScaleP * power(kP, k)) * g[k];
      even_q += (kScaleQ * power(kQ, k)) * g[k];
    } else {
      odd_p += (kScaleP * power(kP, k)) * g[k];
      odd_q += (kScaleQ * power(kQ, k)) * g[k];
    }
  }
  to[0] = kScale0 * g[0];
  to[1] = even_p + odd_p;
  to[2] = even_p - odd_p;
  to[3] = even_q + odd_q;
  to[4] = even_q - odd_q;
  to[5] = g[R - 1];
}

template <int R>
inline void adjoint_filter(const Vec (&h)[kPoints], Vec (&g)[R]) {
  const Vec even_p = h[1] + h[2];
  const Vec odd_p = h[1] - h[2];
  const Vec even_q = h[3] + h[4];
  const Vec odd_q = h[3] - h[4];
#pragma GCC unroll 8
  for (int k = 0; k < R; ++k) {
    g[k] = (kScaleP * power(kP, k)) * (k % 2 == 0 ? even_p : odd_p) +
           (kScaleQ * power(kQ, k)) * (k % 2 == 0 ? even_q : odd_q);
  }
  g[0] += kScale0 * h[0];
  g[R - 1] += h[5];
}

/// Applies a one-dimensional transform from In to Out values to both axes. get(i, j) -> Vec, put(i,
/// j, Vec).
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

/// The tiles of all samples in one sequence.
struct Tiles {
  Index down, across, count;
  Tiles(const Conv& s, Index m)
      : down(ceil_div(s.out_height, m)),
        across(ceil_div(s.out_width, m)),
        count(s.samples * down * across) {}
};

struct Tile {
  Index sample, row, column;  ///< of its first output
};

/// Walks Tiles without a division a tile.
struct TileWalk {
  const Tiles& tiles;
  Index m;
  Tile tile{};
  TileWalk(const Tiles& all, Index outputs) : tiles(all), m(outputs) {}
  void next() {
    tile.column += m;
    if (tile.column < tiles.across * m) return;
    tile.column = 0;
    tile.row += m;
    if (tile.row < tiles.down * m) return;
    tile.row = 0;
    ++tile.sample;
  }
};

/// What a block of tiles needs: V [cell][tile][channel] and M [cell][tile][out channel]. A cell's
/// part is a cache line longer than its tiles, so that the 36 cells don't fall into the same cache
/// set.
struct BlockLayout {
  Index tiles, channels, outs;  ///< padded to whole vectors
  Index data_cell, out_cell;

  BlockLayout(const Conv& s, Index count, Index wanted)
      : tiles(max(1, min(count, wanted))),
        channels(round_up_to(s.channels, kWidth)),
        outs(round_up_to(s.out_channels, kWidth)),
        data_cell(tiles * channels + 16),
        out_cell(tiles * outs + 16) {}
};

/// Tiles a block: a multiple of the register block's rows. V and M of a block share the
/// second-level cache with the transformed weights; where those are too large for it, longer blocks
/// read them less often.
Index tiles_per_block(const Conv& s) {
  constexpr Index kBlockFloats = 100 * 1024;
  constexpr Index kLongBlockFloats = 1024 * 1024;
  const Index a_tile = kCells * (s.channels + s.out_channels);
  const bool weights_fit = kCells * s.channels * s.out_channels <= 128 * 1024;
  const Index tiles = (weights_fit ? kBlockFloats : kLongBlockFloats) / a_tile;
  return max(kBlockRows, tiles / kBlockRows * kBlockRows);
}

/// V of one tile; cells outside the image are 0.
void transform_data_tile(const Conv& s, const Tile& tile, const float* x, const float* zeros,
                         const BlockLayout& layout, float* to) {
  const float* cells[kPoints][kPoints];
  const Index top = tile.row - s.padding;
  const Index left = tile.column - s.padding;
  const float* image = x + tile.sample * s.height * s.width * s.channels;
  for (int i = 0; i < kPoints; ++i) {
    const bool row_inside = top + i >= 0 && top + i < s.height;
    for (int j = 0; j < kPoints; ++j) {
      const bool inside = row_inside && left + j >= 0 && left + j < s.width;
      cells[i][j] = inside ? image + ((top + i) * s.width + left + j) * s.channels : zeros;
    }
  }
  auto transform = [](const Vec(&d)[kPoints], Vec(&out)[kPoints]) { transform_data(d, out); };
  Index c = 0;
  for (; c + kWidth <= s.channels; c += kWidth) {
    transform_square<kPoints, kPoints>(
        transform, [&](int i, int j) { return load(cells[i][j] + c); },
        [&](int i, int j, Vec v) { store(to + (i * kPoints + j) * layout.data_cell + c, v); });
  }
  if (c < s.channels) {
    const Lanes lanes(s.channels - c);
    transform_square<kPoints, kPoints>(
        transform, [&](int i, int j) { return load(cells[i][j] + c, lanes); },
        [&](int i, int j, Vec v) { store(to + (i * kPoints + j) * layout.data_cell + c, v); });
  }
}

/// y of one tile, clipped to the image.
template <int M>
void transform_output_tile(const Conv& s, const Tile& tile, const float* from,
                           const BlockLayout& layout, const float* bias, float* y) {
  const Index height = min(M, s.out_height - tile.row);
  const Index width = min(M, s.out_width - tile.column);
  const Index row = s.out_width * s.out_channels;
  float* corner = y + (tile.sample * s.out_height + tile.row) * row + tile.column * s.out_channels;
  for (Index o = 0; o < s.out_channels; o += kWidth) {
    const Lanes lanes(min(kWidth, s.out_channels - o));
    const Vec start = bias == nullptr ? Vec{} : load(bias + o, lanes);
    transform_square<kPoints, M>(
        [](const Vec(&m)[kPoints], Vec(&out)[M]) { transform_output<M>(m, out); },
        [&](int i, int j) { return load(from + (i * kPoints + j) * layout.out_cell + o); },
        [&](int i, int j, Vec v) {
          if (i < height && j < width) {
            store(corner + i * row + j * s.out_channels + o, v + start, lanes);
          }
        });
  }
}

/// The adjoint of transform_output_tile: what dy of one tile adds to the products.
template <int M>
void adjoint_output_tile(const Conv& s, const Tile& tile, const float* dy,
                         const BlockLayout& layout, float* to) {
  const Index height = min(M, s.out_height - tile.row);
  const Index width = min(M, s.out_width - tile.column);
  const Index row = s.out_width * s.out_channels;
  const float* corner =
      dy + (tile.sample * s.out_height + tile.row) * row + tile.column * s.out_channels;
  for (Index o = 0; o < s.out_channels; o += kWidth) {
    const Lanes lanes(min(kWidth, s.out_channels - o));
    transform_square<M, kPoints>(
        [](const Vec(&d)[M], Vec(&out)[kPoints]) { adjoint_output<M>(d, out); },
        [&](int i, int j) {
          return i < height && j < width ? load(corner + i * row + j * s.out_channels + o, lanes)
                                         : Vec{};
        },
        [&](int i, int j, Vec v) { store(to + (i * kPoints + j) * layout.out_cell + o, v); });
  }
}

/// Packed weights -> U [cell of 36][panel][channel][kPanel].
template <int R>
void transform_weights(const Conv& s, const float* packed, float* to) {
  const Index panels = packed_panels(s.out_channels);
  const Index cell = panels * s.channels * kPanel;
  for (Index panel = 0; panel < panels; ++panel) {
    const float* from = packed + panel * R * R * s.channels * kPanel;
    for (Index c = 0; c < s.channels * kPanel; c += kWidth) {
      transform_square<R, kPoints>(
          [](const Vec(&g)[R], Vec(&out)[kPoints]) { transform_filter<R>(g, out); },
          [&](int i, int j) { return load(from + (i * R + j) * s.channels * kPanel + c); },
          [&](int i, int j, Vec v) {
            store(to + (i * kPoints + j) * cell + panel * s.channels * kPanel + c, v);
          });
    }
  }
}

struct CorrelateBuffers {
  BlockLayout layout;
  Arena arena;
  Index zeros, weights, data, products;

  CorrelateBuffers(const Conv& s, Index tiles)
      : layout(s, tiles, tiles_per_block(s)),
        zeros(arena.take(layout.channels)),
        weights(arena.take(kCells * packed_size(s.out_channels, 1, s.channels))),
        data(arena.take(kCells * layout.data_cell)),
        products(arena.take(kCells * layout.out_cell)) {}
};

template <int M>
void correlate(const Conv& s, const float* x, const float* packed, const float* bias, float* y,
               float* scratch) {
  const Tiles tiles(s, M);
  const CorrelateBuffers buffers(s, tiles.count);
  const BlockLayout& layout = buffers.layout;
  float* zeros = scratch + buffers.zeros;
  float* weights = scratch + buffers.weights;
  float* data = scratch + buffers.data;
  float* products = scratch + buffers.products;
  fill(zeros, layout.channels, 0.0F);
  transform_weights<7 - M>(s, packed, weights);

  TileWalk in(tiles, M);
  TileWalk out(tiles, M);
  for (Index begin = 0; begin < tiles.count; begin += layout.tiles) {
    const Index count = min(layout.tiles, tiles.count - begin);
    for (Index t = 0; t < count; ++t, in.next()) {
      transform_data_tile(s, in.tile, x, zeros, layout, data + t * layout.channels);
    }
    for (Index cell = 0; cell < kCells; ++cell) {
      Product p;
      p.a = data + cell * layout.data_cell;
      p.a_row = layout.channels;
      p.b = weights + cell * packed_size(s.out_channels, 1, s.channels);
      p.b_step = kPanel;
      p.b_panel = s.channels * kPanel;
      p.c = products + cell * layout.out_cell;
      p.c_row = layout.outs;
      p.rows = count;
      p.columns = layout.outs;
      p.depth = s.channels;
      multiply(p);
    }
    for (Index t = 0; t < count; ++t, out.next()) {
      transform_output_tile<M>(s, out.tile, products + t * layout.outs, layout, bias, y);
    }
  }
}

struct GradientBuffers {
  BlockLayout layout;
  Arena arena;
  Index zeros, data, products, sums;

  GradientBuffers(const Conv& s, Index tiles)
      : layout(s, tiles, tiles_per_block(s)),
        zeros(arena.take(layout.channels)),
        data(arena.take(kCells * layout.data_cell)),
        products(arena.take(kCells * layout.out_cell)),
        sums(arena.take(kCells * s.channels * layout.outs)) {}
};

template <int M>
void gradient_of_weights(const Conv& s, const float* x, const float* dy, float* gradient,
                         Index gradient_row, float* scratch) {
  constexpr int R = 7 - M;
  const Tiles tiles(s, M);
  const GradientBuffers buffers(s, tiles.count);
  const BlockLayout& layout = buffers.layout;
  float* zeros = scratch + buffers.zeros;
  float* data = scratch + buffers.data;
  float* products = scratch + buffers.products;
  float* sums = scratch + buffers.sums;
  const Index sums_cell = s.channels * layout.outs;
  fill(zeros, layout.channels, 0.0F);

  TileWalk walk(tiles, M);
  for (Index begin = 0; begin < tiles.count; begin += layout.tiles) {
    const Index count = min(layout.tiles, tiles.count - begin);
    for (Index t = 0; t < count; ++t, walk.next()) {
      transform_data_tile(s, walk.tile, x, zeros, layout, data + t * layout.channels);
      adjoint_output_tile<M>(s, walk.tile, dy, layout, products + t * layout.outs);
    }
    for (Index cell = 0; cell < kCells; ++cell) {
      Product p;
      p.a = data + cell * layout.data_cell;
      p.a_row = 1;
      p.a_step = layout.channels;
      p.b = products + cell * layout.out_cell;
      p.b_step = layout.outs;
      p.c = sums + cell * sums_cell;
      p.c_row = layout.outs;
      p.rows = s.channels;
      p.columns = layout.outs;
      p.depth = count;
      p.accumulate = begin > 0;
      multiply(p);
    }
  }
  for (Index c = 0; c < s.channels; ++c) {
    for (Index o = 0; o < layout.outs; o += kWidth) {
      transform_square<kPoints, R>(
          [](const Vec(&h)[kPoints], Vec(&g)[R]) { adjoint_filter<R>(h, g); },
          [&](int i, int j) {
            return load(sums + (i * kPoints + j) * sums_cell + c * layout.outs + o);
          },
          [&](int i, int j, Vec v) {
            store(gradient + ((i * R + j) * s.channels + c) * gradient_row + o, v);
          });
    }
  }
}

}  // namespace

bool winograd_fits(const Conv& s) {
  constexpr Index kFewestChannels = 16;  // with fewer the transforms cost more than they save
  return s.stride == 1 && (s.kernel == 3 || s.kernel == 5) && s.channels >= kFewestChannels &&
         s.out_channels >= kFewestChannels && s.samples > 0 && s.out_height > 0 && s.out_width > 0;
}

Index winograd_correlate_scratch(const Conv& s) {
  return CorrelateBuffers(s, Tiles(s, 7 - s.kernel).count).arena.size;
}

void winograd_correlate(const Conv& s, const float* x, const float* packed, const float* bias,
                        float* y, float* scratch) {
  if (s.kernel == 3) {
    correlate<4>(s, x, packed, bias, y, scratch);
  } else {
    correlate<2>(s, x, packed, bias, y, scratch);
  }
}

Index winograd_gradient_scratch(const Conv& s) {
  return GradientBuffers(s, Tiles(s, 7 - s.kernel).count).arena.size;
}

void winograd_gradient(const Conv& s, const float* x, const float* dy, float* gradient,
                       Index gradient_row, float* scratch) {
  if (s.kernel == 3) {
    gradient_of_weights<4>(s, x, dy, gradient, gradient_row, scratch);
  } else {
    gradient_of_weights<2>(s, x, dy, gradient, gradient_row, scratch);
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
