#pragma once

#include <algorithm>

#include "kernels.hpp"

/// Matrix products of all clients in one launch, for layers: C(row, column) = sum over k of A(row,
/// k) B(column, k), where a problem says how A and B are read, so that a convolution needs no copy
/// of its windows. In full single precision, added up in an order that depends on the layer's sizes
/// and the client's own samples: its result is the same beside any other clients, on any GPU.
/// (cuBLAS chooses an algorithm by the number of clients, and gives other bits.)
///
/// A block makes a tile of C. While it multiplies 16 of k, which lie in shared memory, the next 16
/// are on their way.
namespace fedselect::cuda {

inline constexpr int kProductThreads = 128;
inline constexpr int kTileDepth = 16;
inline constexpr int kUnparted = 1 << 30;  ///< Problem::kPartDepth: the whole depth is one part

/// How a block's threads share its tile: eight across the columns, `kThreadRows` rows each, and
/// where rows are few, slices of k, which are added up in their order at the end.
template <int kTileRows, int kTileColumns, int kRowsOfThread>
struct Tiling {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns;
  static constexpr int kAcross = 8, kDown = kRows / kRowsOfThread;
  static constexpr int kThreadRows = kRowsOfThread, kThreadColumns = kColumns / kAcross;
  static constexpr int kSliceThreads = kAcross * kDown;
  static constexpr int kSlices = kProductThreads / kSliceThreads;
};
using WideTiling = Tiling<128, 64, 8>;
using NarrowTiling = Tiling<128, 32, 8>;
using SmallTiling = Tiling<32, 32, 8>;

/// A tile's entries (rows of A, or columns of B) on their way to shared memory, as far as a thread
/// carries them: four values at a time, which lie side by side in memory along k or along the
/// entries, as Operand::kAlongDepth says. place(entry, entries) and step(k, end) are what an
/// operand knows of an entry before k is known, and of k; quad(g, place, step) are the four values,
/// 0 outside.
template <class Operand, int kEntries>
class Carrier {
 public:
  __device__ __forceinline__ Carrier(const Operand& operand, int g, int first, int entries)
      : operand_(operand), g_(g) {
    FEDSELECT_UNROLL
    for (int i = 0; i < kPlaces; ++i) places_[i] = operand.place(first + entry_of(i), entries);
  }

  __device__ __forceinline__ void fetch(int k, int end) {
    if constexpr (Operand::kAlongDepth) {
      const auto step = operand_.step(k + depth_of(0), end);
      FEDSELECT_UNROLL
      for (int i = 0; i < kQuads; ++i) quads_[i] = operand_.quad(g_, places_[i], step);
    } else {
      FEDSELECT_UNROLL
      for (int i = 0; i < kQuads; ++i)
        quads_[i] = operand_.quad(g_, places_[0], operand_.step(k + depth_of(i), end));
    }
  }

  /// To tile[k][entry].
  __device__ __forceinline__ void put(float* tile) const {
    FEDSELECT_UNROLL
    for (int i = 0; i < kQuads; ++i) {
      float* to = tile + depth_of(i) * kRow + entry_of(i);
      if constexpr (Operand::kAlongDepth) {
        to[0] = quads_[i].x;
        to[kRow] = quads_[i].y;
        to[2 * kRow] = quads_[i].z;
        to[3 * kRow] = quads_[i].w;
      } else {
        store4(to, quads_[i]);
      }
    }
  }

  static constexpr int kRow = kEntries + kQuad;  ///< floats of a row of the tile in shared memory

 private:
  static constexpr int kQuads = kEntries * kTileDepth / kQuad / kProductThreads;
  static constexpr int kPlaces = Operand::kAlongDepth ? kQuads : 1;

  __device__ __forceinline__ static int thread() { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ static int entry_of(int i) {
    constexpr int kAcross = kTileDepth / kQuad, kStep = kProductThreads / kAcross;
    return Operand::kAlongDepth ? thread() / kAcross + i * kStep
                                : thread() % (kEntries / kQuad) * kQuad;
  }
  __device__ __forceinline__ static int depth_of(int i) {
    constexpr int kAcross = kEntries / kQuad, kStep = kProductThreads / kAcross;
    return Operand::kAlongDepth ? thread() % (kTileDepth / kQuad) * kQuad  // for every i
                                : thread() / kAcross + i * kStep;
  }

  const Operand& operand_;
  int g_;
  typename Operand::Place places_[kPlaces];
  float4 quads_[kQuads];
};

/// A matrix of each client: value(entry, k) = data[entry * pitch + k], or the other way round.
template <bool kDepthIsNear>
struct Matrix {
  static constexpr bool kAlongDepth = kDepthIsNear;
  struct Place {
    int offset;
    int left;  ///< how many there are from there on; 0 or less: outside
  };
  using Step = Place;

  ConstValues data;
  int pitch;
  bool in_quads;  ///< 16 bytes at a time

  Matrix(ConstValues values, int row)
      : data(values), pitch(row), in_quads(row % kQuad == 0 && is_aligned(values)) {}

  __device__ __forceinline__ Place place(int entry, int entries) const {
    return {entry * (kAlongDepth ? pitch : 1), entries - entry};
  }
  __device__ __forceinline__ Step step(int k, int end) const {
    return {k * (kAlongDepth ? 1 : pitch), end - k};
  }
  __device__ __forceinline__ float4 quad(int g, const Place& place, const Step& step) const {
    if (place.left <= 0 || step.left <= 0) return {};
    const float* at = data[g] + (place.offset + step.offset);
    if (in_quads) return load4(at);
    const int left = kAlongDepth ? step.left : place.left;
    return {at[0], left > 1 ? at[1] : 0, left > 2 ? at[2] : 0, left > 3 ? at[3] : 0};
  }
};

/// Writes up to four values, at once where that can be.
__device__ __forceinline__ void put(float* to, float4 v, int count) {
  if (count >= kQuad && reinterpret_cast<std::uintptr_t>(to) % sizeof(float4) == 0) {
    store4(to, v);
    return;
  }
  to[0] = v.x;
  if (count > 1) to[1] = v.y;
  if (count > 2) to[2] = v.z;
  if (count > 3) to[3] = v.w;
}

/// Rows, columns and k of a client's product.
struct Extent {
  int rows, columns, depth;
};

/// `Problem`: extent(samples), of whose depth a block takes kPartDepth; operands a and b;
/// store(g, part, row, column, values, count), whose values lie along the rows or the columns, as
/// kAlongRows says. Blocks: x tiles, y clients, z parts.
template <class Problem, class Tile>
__global__ void __launch_bounds__(kProductThreads, 3)
    product_kernel(DeviceGroup group, Problem problem) {
  const int g = static_cast<int>(blockIdx.y);
  const int part = static_cast<int>(blockIdx.z);
  const int samples = group.samples[g];
  if (samples == 0) return;
  const Extent extent = problem.extent(samples);
  const int column_tiles = (extent.columns + Tile::kColumns - 1) / Tile::kColumns;
  const int row0 = static_cast<int>(blockIdx.x) / column_tiles * Tile::kRows;
  const int column0 = static_cast<int>(blockIdx.x) % column_tiles * Tile::kColumns;
  const int begin = part * Problem::kPartDepth;
  const int end = min(extent.depth - begin, Problem::kPartDepth) + begin;
  if (row0 >= extent.rows || (part > 0 && begin >= end)) return;

  using CarrierA = Carrier<decltype(Problem::a), Tile::kRows>;
  using CarrierB = Carrier<decltype(Problem::b), Tile::kColumns>;
  constexpr int kRowA = CarrierA::kRow, kRowB = CarrierB::kRow;
  constexpr int kTileFloats = kTileDepth * (kRowA + kRowB);
  constexpr int kRows = Tile::kThreadRows, kColumns = Tile::kThreadColumns;
  auto* tile = dynamic_shared<float>();
  CarrierA a(problem.a, g, row0, extent.rows);
  CarrierB b(problem.b, g, column0, extent.columns);
  const int t = static_cast<int>(threadIdx.x) % Tile::kSliceThreads;
  const int slice = static_cast<int>(threadIdx.x) / Tile::kSliceThreads;
  const int x = t % Tile::kAcross * kQuad, y = t / Tile::kAcross * kQuad;

  float sum[kRows][kColumns] = {};
  a.fetch(begin, end);
  b.fetch(begin, end);
  a.put(tile);
  b.put(tile + kTileDepth * kRowA);
  __syncthreads();
  for (int k0 = begin, now = 0; k0 < end; k0 += kTileDepth, now ^= 1) {
    const bool more = k0 + kTileDepth < end;
    if (more) {
      a.fetch(k0 + kTileDepth, end);
      b.fetch(k0 + kTileDepth, end);
    }
    const float* tile_a = tile + now * kTileFloats + slice * kRowA + y;
    const float* tile_b = tile + now * kTileFloats + kTileDepth * kRowA + slice * kRowB + x;
    FEDSELECT_UNROLL
    for (int k = 0; k < kTileDepth; k += Tile::kSlices) {
      alignas(sizeof(float4)) float left[kRows], right[kColumns];
      FEDSELECT_UNROLL
      for (int i = 0; i < kRows; i += kQuad)
        store4(left + i, load4(tile_a + k * kRowA + i * Tile::kDown));
      FEDSELECT_UNROLL
      for (int j = 0; j < kColumns; j += kQuad)
        store4(right + j, load4(tile_b + k * kRowB + j * Tile::kAcross));
      FEDSELECT_UNROLL
      for (int i = 0; i < kRows; ++i) FEDSELECT_UNROLL
      for (int j = 0; j < kColumns; ++j) sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
    }
    if (more) {
      float* next = tile + (now ^ 1) * kTileFloats;
      a.put(next);
      b.put(next + kTileDepth * kRowA);
    }
    __syncthreads();
  }

  if constexpr (Tile::kSlices > 1) {
    constexpr int kSums = kRows * kColumns;
    if (slice > 0)
      for (int i = 0; i < kSums; ++i)
        tile[((slice - 1) * kSums + i) * Tile::kSliceThreads + t] = sum[i / kColumns][i % kColumns];
    __syncthreads();
    if (slice > 0) return;
    for (int other = 0; other < Tile::kSlices - 1; ++other)
      for (int i = 0; i < kSums; ++i)
        sum[i / kColumns][i % kColumns] += tile[(other * kSums + i) * Tile::kSliceThreads + t];
  }

  const auto row_of = [&](int i) { return row0 + i / kQuad * kQuad * Tile::kDown + y + i % kQuad; };
  const auto column_of = [&](int j) {
    return column0 + j / kQuad * kQuad * Tile::kAcross + x + j % kQuad;
  };
  constexpr int kRowStep = Problem::kAlongRows ? kQuad : 1;
  constexpr int kColumnStep = Problem::kAlongRows ? 1 : kQuad;
  FEDSELECT_UNROLL
  for (int i = 0; i < kRows; i += kRowStep) FEDSELECT_UNROLL
  for (int j = 0; j < kColumns; j += kColumnStep) {
    const int row = row_of(i), column = column_of(j);
    if (row >= extent.rows || column >= extent.columns) continue;
    if constexpr (Problem::kAlongRows)
      problem.store(g, part, row, column, {sum[i][j], sum[i + 1][j], sum[i + 2][j], sum[i + 3][j]},
                    extent.rows - row);
    else
      problem.store(g, part, row, column, {sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]},
                    extent.columns - column);
  }
}

/// How many parts a product of this depth has: one at least, which is 0 for no depth.
template <class Problem>
__host__ __device__ int parts_of(int depth) {
  const int parts = depth / Problem::kPartDepth + (depth % Problem::kPartDepth != 0 ? 1 : 0);
  return parts > 0 ? parts : 1;
}

template <class Tile, class Problem>
[[nodiscard]] cudaError_t launch_tiles(const DeviceGroup& group, const Problem& problem,
                                       cudaStream_t stream) {
  constexpr int kTiles = 2 * kTileDepth * (Tile::kRows + Tile::kColumns + 2 * kQuad);
  constexpr int kSlices = (Tile::kSlices - 1) * Tile::kRows * Tile::kColumns;
  const Extent most = problem.extent(group.most);
  const int tiles = (most.rows + Tile::kRows - 1) / Tile::kRows *
                    ((most.columns + Tile::kColumns - 1) / Tile::kColumns);
  if (tiles == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(group.clients),
                  static_cast<unsigned>(parts_of<Problem>(most.depth)));
  return launch(product_kernel<Problem, Tile>, grid, kProductThreads,
                sizeof(float) * std::max(kTiles, kSlices), stream, group, problem);
}

/// Puts the products of all clients on the stream. `Problem::kRowsAreGiven`: rows don't depend on
/// the samples, so that the order of sums can.
template <class Problem>
[[nodiscard]] cudaError_t launch_product(const DeviceGroup& group, const Problem& problem,
                                         cudaStream_t stream) {
  const Extent most = problem.extent(group.most);
  if constexpr (Problem::kRowsAreGiven)
    if (most.rows <= SmallTiling::kRows) return launch_tiles<SmallTiling>(group, problem, stream);
  return most.columns <= NarrowTiling::kColumns ? launch_tiles<NarrowTiling>(group, problem, stream)
                                                : launch_tiles<WideTiling>(group, problem, stream);
}

}  // namespace fedselect::cuda
