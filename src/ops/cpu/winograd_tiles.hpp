#pragma once

#include "ops/cpu/layer_kernels.hpp"
#include "ops/cpu/padded_image.hpp"
#include "ops/cpu/winograd_transforms.hpp"

/// How Winograd's convolutions cut images into tiles, and tiles into blocks that fit the caches.
namespace fedselect::ops::cpu::FEDSELECT_ISA {

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

inline PaddedImage padded_for_tiles(const Conv& s, const Tiles& tiles) {
  return {.in_height = s.height,
          .in_width = s.width,
          .channels = s.channels,
          .border = s.padding,
          .height = tiles.down * kTile + s.kernel - 1,
          .width = tiles.across * kTile + s.kernel - 1};
}
inline PaddedImage padded_output_for_tiles(const Conv& s, const Tiles& tiles) {
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
inline constexpr Index kCorrelateBlock = 100 * 1024;
inline constexpr Index kGradientBlock =
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

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
