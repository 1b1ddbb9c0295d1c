#include "ops/cpu/winograd_kernels.hpp"

#include "ops/cpu/conv_weights.hpp"
#include "ops/cpu/gemm_kernels.hpp"
#include "ops/cpu/padded_image.hpp"
#include "ops/cpu/winograd_transforms.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

/// The tiles of all samples, kTile x kTile outputs each, in one sequence.
struct Tiles {
  Index down, across, count;
  explicit Tiles(const Conv& s)
      : down(ceil_div(s.out_height, kTile)),
        across(ceil_div(s.out_width, kTile)),
        count(s.samples * down * across) {}
};

/// Walks Tiles without a division a tile.
struct TileWalk {
  const Tiles& tiles;
  Index sample = 0, row = 0, column = 0;  ///< of the tile's first output

  explicit TileWalk(const Tiles& all) : tiles(all) {}
  void next() {
    column += kTile;
    if (column < tiles.across * kTile) return;
    column = 0;
    row += kTile;
    if (row < tiles.down * kTile) return;
    row = 0;
    ++sample;
  }
  bool starts_sample() const { return row == 0 && column == 0; }
};

PaddedImage padded_input(const Conv& s, const Tiles& tiles) {
  return {.in_height = s.height,
          .in_width = s.width,
          .channels = s.channels,
          .border = s.padding,
          .height = tiles.down * kTile + s.kernel - 1,
          .width = tiles.across * kTile + s.kernel - 1};
}
PaddedImage padded_output(const Conv& s, const Tiles& tiles) {
  return {.in_height = s.out_height,
          .in_width = s.out_width,
          .channels = s.out_channels,
          .border = 0,
          .height = tiles.down * kTile,
          .width = tiles.across * kTile};
}

/// Out channels that are worked on together: [begin, begin + size).
struct Outs {
  Index begin, size;
};

/// What a block of tiles needs besides the weights: V [cell][tile][channel] of all cells, M
/// [cell][tile][out channel] of one row of cells at a time, and M with one axis transformed. So M
/// stays in the first-level cache, and half of it never leaves. A cell's part is a cache line
/// longer than its tiles, so that the cells don't fall into the same set.
///
/// While the transformed weights (or their gradient) fit the second-level cache beside it, a block
/// is short enough to stay there, too, and takes all out channels at once. Larger weights pass
/// through the cache a panel of out channels at a time, as rarely as possible: a block is long.
struct BlockLayout {
  Index points;  ///< along one axis
  bool weights_fit;
  Index tiles, blocks;
  Index channels, group;  ///< group: out channels at a time; both padded to whole vectors
  Index data_cell, out_cell;
  Index half_tile;  ///< [points][kTile][group]

  BlockLayout(const Conv& s, Index count, Index block_floats)
      : points(s.kernel + kTile - 1),
        weights_fit(cells() * s.channels * s.out_channels <= kWeightsThatFit),
        channels(round_up_to(s.channels, kWidth)),
        group(weights_fit ? round_up_to(s.out_channels, kWidth) : kPanel) {
    if (weights_fit) {
      const Index most = block_floats / (cells() * (s.channels + s.out_channels));
      tiles = min(count, max(kBlockRows, most / kBlockRows * kBlockRows));
      blocks = ceil_div(count, tiles);
    } else {
      blocks = ceil_div(count * cells() * channels, kLongBlockFloats);
      tiles = ceil_div(count, blocks);
    }
    data_cell = tiles * channels + 16;
    out_cell = tiles * group + 16;
    half_tile = points * kTile * group;
  }

  Index cells() const { return points * points; }
  Index data_size() const { return cells() * data_cell; }
  Index products_size() const { return points * out_cell; }
  Index half_size() const { return tiles * half_tile; }

  static constexpr Index kWeightsThatFit = 192 * 1024;
  static constexpr Index kLongBlockFloats = 2 * 1024 * 1024;
};
// Floats of V and M in a short block, tuned on 1 MB of second-level cache.
constexpr Index kCorrelateBlock = 100 * 1024;
constexpr Index kGradientBlock =
    176 * 1024;  // reads and writes its sums once a block, so it wants long ones

/// kTile + R - 1 squared inputs -> V of one tile.
template <int R>
void transform_data_tile(const float* corner, Index row, const Conv& s, const BlockLayout& layout,
                         float* to) {
  constexpr int kPoints = points_of(R);
  for (Index c = 0; c < s.channels; c += kWidth) {
    const Lanes lanes(min(kWidth, s.channels - c));
    transform_square<kPoints, kPoints>(
        transform_data<R>,
        [&](int i, int j) { return load(corner + i * row + j * s.channels + c, lanes); },
        [&](int i, int j, Vec v) { store(to + (i * kPoints + j) * layout.data_cell + c, v); });
  }
}

/// A row of M of `tiles` tiles -> that row with its columns transformed.
template <int R>
void transform_output_row(const BlockLayout& layout, Index tiles, const float* products,
                          float* half) {
  constexpr int kPoints = points_of(R);
  for (Index t = 0; t < tiles; ++t, products += layout.group, half += layout.half_tile) {
    for (Index o = 0; o < layout.group; o += kWidth) {
      Vec m[kPoints];
      Vec y[kTile];
#pragma GCC unroll 8
      for (int j = 0; j < kPoints; ++j) m[j] = load(products + j * layout.out_cell + o);
      transform_output<R>(m, y);
#pragma GCC unroll 4
      for (int j = 0; j < kTile; ++j) store(half + j * layout.group + o, y[j]);
    }
  }
}

/// The other axis: half of one tile -> y, clipped to the image.
template <int R>
void transform_output_tile(const Conv& s, const TileWalk& tile, const Outs& outs, const float* half,
                           const BlockLayout& layout, const float* bias, float* y) {
  constexpr int kPoints = points_of(R);
  const Index height = min(kTile, s.out_height - tile.row);
  const Index width = min(kTile, s.out_width - tile.column);
  const Index row = s.out_width * s.out_channels;
  float* corner =
      y + (tile.sample * s.out_height + tile.row) * row + tile.column * s.out_channels + outs.begin;
  for (Index j = 0; j < width; ++j) {
    for (Index o = 0; o < outs.size; o += kWidth) {
      const Lanes lanes(min(kWidth, outs.size - o));
      Vec m[kPoints];
      Vec out[kTile];
#pragma GCC unroll 8
      for (int i = 0; i < kPoints; ++i) {
        m[i] = load(half + (i * kTile + j) * layout.group + o);
      }
      transform_output<R>(m, out);
      const Vec start = bias == nullptr ? Vec{} : load(bias + outs.begin + o, lanes);
#pragma GCC unroll 4
      for (int i = 0; i < kTile; ++i) {
        if (i < height) store(corner + i * row + j * s.out_channels + o, out[i] + start, lanes);
      }
    }
  }
}

/// The adjoint of transform_output_tile: dy of one tile -> half.
template <int R>
void adjoint_output_tile(const float* corner, Index row, const Conv& s, const Outs& outs,
                         const BlockLayout& layout, float* half) {
  constexpr int kPoints = points_of(R);
  for (Index j = 0; j < kTile; ++j) {
    for (Index o = 0; o < outs.size; o += kWidth) {
      const Lanes lanes(min(kWidth, outs.size - o));
      Vec y[kTile];
      Vec m[kPoints];
#pragma GCC unroll 4
      for (int i = 0; i < kTile; ++i) {
        y[i] = load(corner + i * row + j * s.out_channels + o, lanes);
      }
      adjoint_output<R>(y, m);
#pragma GCC unroll 8
      for (int i = 0; i < kPoints; ++i) {
        store(half + (i * kTile + j) * layout.group + o, m[i]);
      }
    }
  }
}

/// The adjoint of transform_output_row: a row of half -> that row of M.
template <int R>
void adjoint_output_row(const BlockLayout& layout, Index tiles, const float* half,
                        float* products) {
  constexpr int kPoints = points_of(R);
  for (Index t = 0; t < tiles; ++t, products += layout.group, half += layout.half_tile) {
    for (Index o = 0; o < layout.group; o += kWidth) {
      Vec y[kTile];
      Vec m[kPoints];
#pragma GCC unroll 4
      for (int j = 0; j < kTile; ++j) y[j] = load(half + j * layout.group + o);
      adjoint_output<R>(y, m);
#pragma GCC unroll 8
      for (int j = 0; j < kPoints; ++j) store(products + j * layout.out_cell + o, m[j]);
    }
  }
}

/// Packed weights -> U [cell][panel][channel][kPanel].
template <int R>
void transform_weights(const Conv& s, const float* packed, float* to) {
  constexpr int kPoints = points_of(R);
  const Index panels = packed_panels(s.out_channels);
  const Index panel_size = s.channels * kPanel;
  for (Index panel = 0; panel < panels; ++panel) {
    const float* from = packed + panel * R * R * panel_size;
    for (Index c = 0; c < panel_size; c += kWidth) {
      transform_square<R, kPoints>(
          transform_filter<R>,
          [&](int i, int j) { return load(from + (i * R + j) * panel_size + c); },
          [&](int i, int j, Vec v) {
            store(to + ((i * kPoints + j) * panels + panel) * panel_size + c, v);
          });
    }
  }
}

/// Row i of U of one panel: [point][channel][kPanel].
template <int R>
void transform_weights_row(const Conv& s, const float* packed_panel, int i, float* to) {
  constexpr int kPoints = points_of(R);
  const Index panel_size = s.channels * kPanel;
  for (Index c = 0; c < panel_size; c += kWidth) {
    Vec half[R];
    Vec out[kPoints];
#pragma GCC unroll 8
    for (int j = 0; j < R; ++j) {
      Vec g[R];
#pragma GCC unroll 8
      for (int k = 0; k < R; ++k) g[k] = load(packed_panel + (k * R + j) * panel_size + c);
      half[j] = transform_filter_at<R>(i, g);
    }
    transform_filter<R>(half, out);
#pragma GCC unroll 8
    for (int j = 0; j < kPoints; ++j) store(to + j * panel_size + c, out[j]);
  }
}

struct CorrelateBuffers {
  Tiles tiles;
  PaddedImage padded;
  BlockLayout layout;
  Arena arena;
  Index image, weights, data, products, half;

  explicit CorrelateBuffers(const Conv& s)
      : tiles(s),
        padded(padded_input(s, tiles)),
        layout(s, tiles.count, kCorrelateBlock),
        image(arena.take(padded.size())),
        weights(arena.take(layout.weights_fit
                               ? layout.cells() * packed_size(s.out_channels, 1, s.channels)
                               : layout.points * packed_size(kPanel, 1, s.channels))),
        data(arena.take(layout.data_size())),
        products(arena.take(layout.products_size())),
        half(arena.take(layout.half_size())) {}
};

template <int R>
void correlate(const Conv& s, const float* x, const float* packed, const float* bias, float* y,
               float* scratch) {
  constexpr int kPoints = points_of(R);
  const CorrelateBuffers buffers(s);
  const Tiles& tiles = buffers.tiles;
  const PaddedImage& padded = buffers.padded;
  const BlockLayout& layout = buffers.layout;
  float* weights = scratch + buffers.weights;
  float* data = scratch + buffers.data;
  float* products = scratch + buffers.products;
  float* half = scratch + buffers.half;
  padded.clear(scratch + buffers.image);
  if (layout.weights_fit) transform_weights<R>(s, packed, weights);

  TileWalk in(tiles);
  const float* image = nullptr;
  for (Index begin = 0; begin < tiles.count; begin += layout.tiles) {
    const Index count = min(layout.tiles, tiles.count - begin);
    const TileWalk first = in;
    for (Index t = 0; t < count; ++t, in.next()) {
      if (in.starts_sample()) image = padded.of(x, in.sample, scratch + buffers.image);
      transform_data_tile<R>(image + in.row * padded.row() + in.column * s.channels, padded.row(),
                             s, layout, data + t * layout.channels);
    }
    for (Index out = 0; out < s.out_channels; out += layout.group) {
      const Outs outs{out, min(layout.group, s.out_channels - out)};
      const Index weights_cell = packed_size(outs.size, 1, s.channels);
      for (int i = 0; i < kPoints; ++i) {
        const float* weights_row = weights;
        if (layout.weights_fit) {
          weights_row += i * kPoints * weights_cell;
        } else {
          transform_weights_row<R>(s, packed + packed_size(out, R * R, s.channels), i, weights);
        }
        for (int j = 0; j < kPoints; ++j) {
          Product p;
          p.a = data + (i * kPoints + j) * layout.data_cell;
          p.a_row = layout.channels;
          p.b = weights_row + j * weights_cell;
          p.b_step = kPanel;
          p.b_panel = s.channels * kPanel;
          p.c = products + j * layout.out_cell;
          p.c_row = layout.group;
          p.rows = count;
          p.columns = layout.group;
          p.depth = s.channels;
          multiply(p);
        }
        transform_output_row<R>(layout, count, products, half + i * kTile * layout.group);
      }
      TileWalk tile = first;
      for (Index t = 0; t < count; ++t, tile.next()) {
        transform_output_tile<R>(s, tile, outs, half + t * layout.half_tile, layout, bias, y);
      }
    }
  }
}

struct GradientBuffers {
  Tiles tiles;
  PaddedImage padded_x, padded_dy;
  BlockLayout layout;
  Arena arena;
  Index image_x, image_dy, data, products, half, sums;

  explicit GradientBuffers(const Conv& s)
      : tiles(s),
        padded_x(padded_input(s, tiles)),
        padded_dy(padded_output(s, tiles)),
        layout(s, tiles.count, kGradientBlock),
        image_x(arena.take(padded_x.size())),
        image_dy(arena.take(padded_dy.size())),
        data(arena.take(layout.data_size())),
        products(arena.take(layout.products_size())),
        half(arena.take(layout.half_size())),
        sums(arena.take(layout.cells() * s.channels * layout.group)) {}
};

template <int R>
void gradient_of_weights(const Conv& s, const float* x, const float* dy, float* gradient,
                         Index gradient_row, float* scratch) {
  constexpr int kPoints = points_of(R);
  const GradientBuffers buffers(s);
  const Tiles& tiles = buffers.tiles;
  const PaddedImage& padded_x = buffers.padded_x;
  const PaddedImage& padded_dy = buffers.padded_dy;
  const BlockLayout& layout = buffers.layout;
  float* data = scratch + buffers.data;
  float* products = scratch + buffers.products;
  float* half = scratch + buffers.half;
  float* sums = scratch + buffers.sums;
  const Index sums_cell = s.channels * layout.group;
  padded_x.clear(scratch + buffers.image_x);
  padded_dy.clear(scratch + buffers.image_dy);

  for (Index out = 0; out < s.out_channels; out += layout.group) {
    const Outs outs{out, min(layout.group, s.out_channels - out)};
    const bool data_stand = out > 0 && layout.blocks == 1;  // V of all tiles, from the first group
    TileWalk walk(tiles);
    const float* image_x = nullptr;
    const float* image_dy = nullptr;
    for (Index begin = 0; begin < tiles.count; begin += layout.tiles) {
      const Index count = min(layout.tiles, tiles.count - begin);
      for (Index t = 0; t < count; ++t, walk.next()) {
        if (walk.starts_sample()) {
          if (!data_stand) image_x = padded_x.of(x, walk.sample, scratch + buffers.image_x);
          image_dy = padded_dy.of(dy, walk.sample, scratch + buffers.image_dy);
        }
        if (!data_stand) {
          transform_data_tile<R>(image_x + walk.row * padded_x.row() + walk.column * s.channels,
                                 padded_x.row(), s, layout, data + t * layout.channels);
        }
        adjoint_output_tile<R>(
            image_dy + walk.row * padded_dy.row() + walk.column * s.out_channels + out,
            padded_dy.row(), s, outs, layout, half + t * layout.half_tile);
      }
      for (int i = 0; i < kPoints; ++i) {
        adjoint_output_row<R>(layout, count, half + i * kTile * layout.group, products);
        for (int j = 0; j < kPoints; ++j) {
          Product p;
          p.a = data + (i * kPoints + j) * layout.data_cell;
          p.a_row = 1;
          p.a_step = layout.channels;
          p.b = products + j * layout.out_cell;
          p.b_step = layout.group;
          p.c = sums + (i * kPoints + j) * sums_cell;
          p.c_row = layout.group;
          p.rows = s.channels;
          p.columns = layout.group;
          p.depth = count;
          p.accumulate = begin > 0;
          multiply(p);
        }
      }
    }
    for (Index c = 0; c < s.channels; ++c) {
      for (Index o = 0; o < outs.size; o += kWidth) {
        transform_square<kPoints, R>(
            adjoint_filter<R>,
            [&](int i, int j) {
              return load(sums + (i * kPoints + j) * sums_cell + c * layout.group + o);
            },
            [&](int i, int j, Vec v) {
              store(gradient + ((i * R + j) * s.channels + c) * gradient_row + out + o, v);
            });
      }
    }
  }
}

}  // namespace

bool winograd_fits(const Conv& s) {
  constexpr Index kFewestChannels = 16;  // with fewer the transforms cost more than they save
  if (s.stride != 1 || (s.kernel != 3 && s.kernel != 5) || s.channels < kFewestChannels ||
      s.out_channels < kFewestChannels) {
    return false;
  }
  // Tiles that are mostly empty save nothing, and round worse.
  const Index points = s.kernel + kTile - 1;
  const Index direct = s.samples * s.out_height * s.out_width * s.kernel * s.kernel;
  return direct > 0 && 2 * Tiles(s).count * points * points <= direct;
}

Index winograd_correlate_scratch(const Conv& s) { return CorrelateBuffers(s).arena.size; }

void winograd_correlate(const Conv& s, const float* x, const float* packed, const float* bias,
                        float* y, float* scratch) {
  if (s.kernel == 3) {
    correlate<3>(s, x, packed, bias, y, scratch);
  } else {
    correlate<5>(s, x, packed, bias, y, scratch);
  }
}

Index winograd_gradient_scratch(const Conv& s) { return GradientBuffers(s).arena.size; }

void winograd_gradient(const Conv& s, const float* x, const float* dy, float* gradient,
                       Index gradient_row, float* scratch) {
  if (s.kernel == 3) {
    gradient_of_weights<3>(s, x, dy, gradient, gradient_row, scratch);
  } else {
    gradient_of_weights<5>(s, x, dy, gradient, gradient_row, scratch);
  }
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
