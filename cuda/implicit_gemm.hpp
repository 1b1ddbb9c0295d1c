#pragma once

#include "kernels.hpp"

/// Convolutions as matrix products whose left factor is never written down: a kernel gathers it
/// from the images as it goes.
///
/// C[row][column] = sum over k of A(row, k) B(k, column), in full single precision, added up in the
/// order of k, so that a client's result depends on its own data alone. A block makes a tile of 64
/// x 64, a thread 4 x 4 of it. Limited by arithmetic: a thread does 16 multiply-adds for 8 values
/// that it reads from shared memory.
namespace fedselect::cuda {

inline constexpr int kTile = 64;
inline constexpr int kDepth = 16;       ///< of k, for which a block holds A and B at a time
inline constexpr int kRow = kTile + 4;  ///< floats of a row of a tile in shared memory
inline constexpr std::size_t kTileBytes = 2 * kDepth * kRow * sizeof(float);

/// `Problem`: rows(g, part), columns(), depth(g, part), a(g, part, row, k), b(g, part, k, column),
/// store(g, part, row, column, value). Blocks: x tiles, y clients, z parts.
template <class Problem>
__global__ void __launch_bounds__(kThreads) implicit_gemm(DeviceGroup group, Problem problem) {
  const int g = static_cast<int>(blockIdx.y);
  const int part = static_cast<int>(blockIdx.z);
  const int samples = group.samples[g];
  if (samples == 0) return;
  const int rows = problem.rows(samples, part), columns = problem.columns();
  const int depth = problem.depth(samples, part);
  const int column_tiles = (columns + kTile - 1) / kTile;
  const int row0 = static_cast<int>(blockIdx.x) / column_tiles * kTile;
  const int column0 = static_cast<int>(blockIdx.x) % column_tiles * kTile;
  if (row0 >= rows || depth <= 0) return;

  auto* tile_a = dynamic_shared<float>();
  float* tile_b = tile_a + kDepth * kRow;
  const int t = static_cast<int>(threadIdx.x);
  const int x = t % 16 * 4, y = t / 16 * 4;
  float sum[4][4] = {};
  for (int k0 = 0; k0 < depth; k0 += kDepth) {
    for (int e = t; e < kTile * kDepth; e += kThreads) {
      const int ka = Problem::kRowsAreNear ? e / kTile : e % kDepth;
      const int row = Problem::kRowsAreNear ? e % kTile : e / kDepth;
      tile_a[ka * kRow + row] =
          row0 + row < rows && k0 + ka < depth ? problem.a(g, part, row0 + row, k0 + ka) : 0.0F;
      const int kb = e / kTile, column = e % kTile;
      tile_b[kb * kRow + column] = column0 + column < columns && k0 + kb < depth
                                       ? problem.b(g, part, k0 + kb, column0 + column)
                                       : 0.0F;
    }
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      const float4 a = *reinterpret_cast<const float4*>(tile_a + k * kRow + y);
      const float4 b = *reinterpret_cast<const float4*>(tile_b + k * kRow + x);
      const float left[4] = {a.x, a.y, a.z, a.w}, right[4] = {b.x, b.y, b.z, b.w};
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      if (row0 + y + i < rows && column0 + x + j < columns)
        problem.store(g, part, row0 + y + i, column0 + x + j, sum[i][j]);
}

}  // namespace fedselect::cuda
