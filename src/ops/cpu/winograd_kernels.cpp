#include "ops/cpu/winograd_kernels.hpp"

#include "ops/cpu/conv_weights.hpp"
#include "ops/cpu/gemm_kernels.hpp"
#include "ops/cpu/winograd_tiles.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

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
        padded(padded_for_tiles(s, tiles)),
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
        padded_x(padded_for_tiles(s, tiles)),
        padded_dy(padded_output_for_tiles(s, tiles)),
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
