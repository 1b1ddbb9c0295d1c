#include "ops/cpu/gemm_kernels.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

namespace {

/// One register block: R rows by V vectors of C stay in registers over the whole depth and batch.
///
/// AVX-512: 14 x 2 accumulators, 2 vectors of B and one broadcast element of A fill 31 of 32
/// registers; a step of the depth needs 28 FMAs (14 cycles at two a cycle) and 16 loads (8 cycles),
/// so arithmetic limits it: 95 % of the peak measured on Zen 5 within Winograd's products (depth
/// 32), 85 % where C is written once to memory (fc1's dweight).
template <int R, int V, bool Masked>
void register_block(const Product& p, const float* a, const float* b, float* c, const float* bias,
                    Index last) {
  const Lanes lanes(last);
  auto load_at = [&](const float* from, int v) {
    if constexpr (Masked)
      return v == V - 1 ? load(from + v * kWidth, lanes) : load(from + v * kWidth);
    return load(from + v * kWidth);
  };
  Vec sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = bias != nullptr ? load_at(bias, v) : Vec{};
  }
  // Four rows share a pointer, so that the addresses of all rows fit the general registers.
  const Index row = p.a_row;
  const Index row3 = 3 * p.a_row;
  for (Index i = 0; i < p.batch; ++i) {
    const float* a0 = a + i * p.a_batch;
    const float* a1 = a0 + 4 * row;
    const float* a2 = a1 + 4 * row;
    const float* a3 = a2 + 4 * row;
    const float* bk = b + i * p.b_batch;
    for (Index k = 0; k < p.depth; ++k) {
      Vec column[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) column[v] = load_at(bk, v);
      if (p.prefetch != 0) {
        __builtin_prefetch(bk + p.prefetch);
        __builtin_prefetch(bk + p.prefetch + 16);
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const float* base = r < 4 ? a0 : r < 8 ? a1 : r < 12 ? a2 : a3;
        const int offset = r % 4;
        const Vec element = broadcast(offset == 0   ? base[0]
                                      : offset == 1 ? base[row]
                                      : offset == 2 ? base[2 * row]
                                                    : base[row3]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(element, column[v], sum[r][v]);
      }
      a0 += p.a_step;
      a1 += p.a_step;
      a2 += p.a_step;
      a3 += p.a_step;
      bk += p.b_step;
    }
  }
  // C is added last: a sum over many calls then rounds like a sum of partial sums.
  if (p.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] += load_at(c + r * p.c_row, v);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* to = c + r * p.c_row + v * kWidth;
      if (Masked && v == V - 1) {
        store(to, sum[r][v], lanes);
      } else {
        store(to, sum[r][v]);
      }
    }
  }
}

using RegisterBlock = void (*)(const Product&, const float*, const float*, float*, const float*,
                               Index);

struct BlocksOfRows {
  RegisterBlock with_rows[kBlockRows];
};

template <int V, bool Masked, int... R>
constexpr BlocksOfRows blocks_of_rows(std::integer_sequence<int, R...> /*rows*/) {
  return {{register_block<R + 1, V, Masked>...}};
}
using AllRows = std::make_integer_sequence<int, static_cast<int>(kBlockRows)>;

/// [vectors - 1][last vector is partial]
constexpr BlocksOfRows kBlocks[2][2] = {
    {blocks_of_rows<1, false>(AllRows{}), blocks_of_rows<1, true>(AllRows{})},
    {blocks_of_rows<2, false>(AllRows{}), blocks_of_rows<2, true>(AllRows{})}};

/// Rows cut into as few blocks as possible, whose sizes differ by at most one.
struct RowBlocks {
  Index count, size, larger;
  explicit RowBlocks(Index rows)
      : count(ceil_div(rows, kBlockRows)),
        size(count == 0 ? 0 : rows / count),
        larger(rows - size * count) {}
  Index rows(Index block) const { return size + (block < larger ? 1 : 0); }
  Index begin(Index block) const { return block * size + min(block, larger); }
};

}  // namespace

void multiply(const Product& p) {
  const RowBlocks blocks(p.rows);
  const Index panels = ceil_div(p.columns, kPanel);
  auto run = [&](Index block, Index panel) {
    const Index columns = min(kPanel, p.columns - panel * kPanel);
    const Index last = columns > kWidth ? columns - kWidth : columns;
    const Index begin = blocks.begin(block);
    const RegisterBlock kernel =
        kBlocks[columns > kWidth ? 1 : 0][last == kWidth ? 0 : 1].with_rows[blocks.rows(block) - 1];
    kernel(p, p.a + begin * p.a_row, p.b + panel * p.b_panel,
           p.c + begin * p.c_row + panel * kPanel,
           p.bias == nullptr ? nullptr : p.bias + panel * kPanel, last);
  };
  if (p.rows_outer) {
    for (Index block = 0; block < blocks.count; ++block) {
      for (Index panel = 0; panel < panels; ++panel) run(block, panel);
    }
  } else {
    for (Index panel = 0; panel < panels; ++panel) {
      for (Index block = 0; block < blocks.count; ++block) run(block, panel);
    }
  }
}

void transpose(const float* from, Index from_row, Index rows, Index columns, float* to,
               Index to_row) {
  for (Index i = 0; i < rows; i += kWidth) {
    const Index height = min(kWidth, rows - i);
    const Lanes out_lanes(height);
    for (Index j = 0; j < columns; j += kWidth) {
      const Index width = min(kWidth, columns - j);
      const Lanes in_lanes(width);
      Vec v[kWidth];
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) {
        v[r] = r < height ? load(from + (i + r) * from_row + j, in_lanes) : Vec{};
      }
      transpose_square(v);
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) {
        if (r < width) store(to + (j + r) * to_row + i, v[r], out_lanes);
      }
    }
  }
}

void add_column_sums(const float* x, Index rows, Index columns, float* sums) {
  constexpr Index kUnroll = 4;  // independent sums hide the latency of an addition
  for (Index j = 0; j < columns; j += kWidth) {
    const Lanes lanes(min(kWidth, columns - j));
    Vec sum[kUnroll] = {};
    Index i = 0;
    for (; i + kUnroll <= rows; i += kUnroll) {
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) sum[u] += load(x + (i + u) * columns + j, lanes);
    }
    for (; i < rows; ++i) sum[0] += load(x + i * columns + j, lanes);
    store(sums + j, load(sums + j, lanes) + ((sum[0] + sum[1]) + (sum[2] + sum[3])), lanes);
  }
}

void fill(float* x, Index size, float value) {
  const Vec v = broadcast(value);
  Index i = 0;
  for (; i + kWidth <= size; i += kWidth) store(x + i, v);
  for (; i < size; ++i) x[i] = value;
}

void copy(const float* from, Index size, float* to) {
  Index i = 0;
  for (; i + kWidth <= size; i += kWidth) store(to + i, load(from + i));
  for (; i < size; ++i) to[i] = from[i];
}

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
