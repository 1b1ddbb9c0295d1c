#pragma once

#include "kernels.hpp"

/// Matrix products of all clients in one launch, for layers: C(row, column) = sum over k of A(row,
/// k) B(column, k), where a problem says how A and B are read, so that a convolution needs no copy
/// of its windows. In full single precision, added up in the order of k within parts of a fixed
/// size: a client's result depends on its own numbers alone, not on the clients beside it, the tile
/// or the GPU. (cuBLAS chooses an algorithm by the number of clients, and gives other bits.)
///
/// A block makes a tile of 128 rows by 32 or 64 columns, a thread 8 by 4 or 8 of it. While it
/// multiplies 16 of k, which lie in shared memory, the next 16 are on their way.
namespace fedselect::cuda {

inline constexpr int kProductThreads = 128;
inline constexpr int kTileRows = 128;
inline constexpr int kTileDepth = 16;

/// A tile's entries (rows of A, or columns of B) on their way to shared memory, as far as a thread
/// carries them: four values at a time, which lie side by side in memory along k or along the
/// entries. `Operand`: kAlongDepth says which; place(g, entry, entries) is what can be known
/// before k is, quad(place, k, end) are the four values, 0 outside.
template <class Operand, int kEntries>
class Carrier {
 public:
  __device__ __forceinline__ Carrier(const Operand& operand, int g, int first, int entries)
      : operand_(operand) {
    FEDSELECT_UNROLL
    for (int i = 0; i < kPlaces; ++i)
      places_[i] = operand.place(g, first + entry_of(i), entries);
  }

  __device__ __forceinline__ void fetch(int k, int end) {
    FEDSELECT_UNROLL
    for (int i = 0; i < kQuads; ++i)
      quads_[i] = operand_.quad(places_[i % kPlaces], k + depth_of(i), end);
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
    return Operand::kAlongDepth ? thread() % (kTileDepth / kQuad) * kQuad
                                : thread() / kAcross + i * kStep;
  }

  const Operand& operand_;
  typename Operand::Place places_[kPlaces];
  float4 quads_[kQuads];
};

/// A matrix of each client: value(entry, k) = data[entry * pitch + k], or the other way round.
template <bool kDepthIsNear>
struct Matrix {
  static constexpr bool kAlongDepth = kDepthIsNear;
  struct Place {
    const float* at;  ///< of k = 0; null outside
    int entries;      ///< from there on
  };

  ConstValues data;
  int pitch;
  bool in_quads;  ///< 16 bytes at a time

  Matrix(ConstValues values, int row)
      : data(values), pitch(row), in_quads(row % kQuad == 0 && is_aligned(values)) {}

  __device__ __forceinline__ Place place(int g, int entry, int entries) const {
    if (entry >= entries) return {nullptr, 0};
    return {data[g] + static_cast<std::ptrdiff_t>(entry) * (kAlongDepth ? pitch : 1),
            entries - entry};
  }
  __device__ __forceinline__ float4 quad(const Place& place, int k, int end) const {
    if (place.at == nullptr || k >= end) return {};
    const float* at = place.at + static_cast<std::ptrdiff_t>(k) * (kAlongDepth ? 1 : pitch);
    if (in_quads) return load4(at);
    const int left = kAlongDepth ? end - k : place.entries;
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
template <class Problem, int kTileColumns>
__global__ void __launch_bounds__(kProductThreads) product_kernel(DeviceGroup group, Problem problem) {
  const int g = static_cast<int>(blockIdx.y);
  const int part = static_cast<int>(blockIdx.z);
  const int samples = group.samples[g];
  if (samples == 0) return;
  const Extent extent = problem.extent(samples);
  const int column_tiles = (extent.columns + kTileColumns - 1) / kTileColumns;
  const int row0 = static_cast<int>(blockIdx.x) / column_tiles * kTileRows;
  const int column0 = static_cast<int>(blockIdx.x) % column_tiles * kTileColumns;
  const int begin = part * Problem::kPartDepth;
  const int end = min(extent.depth - begin, Problem::kPartDepth) + begin;
  if (row0 >= extent.rows || begin >= end) return;

  using CarrierA = Carrier<decltype(Problem::a), kTileRows>;
  using CarrierB = Carrier<decltype(Problem::b), kTileColumns>;
  constexpr int kRowA = CarrierA::kRow, kRowB = CarrierB::kRow;
  constexpr int kTileFloats = kTileDepth * (kRowA + kRowB);
  constexpr int kHalves = kTileColumns / 32;
  auto* tile = dynamic_shared<float>();
  CarrierA a(problem.a, g, row0, extent.rows);
  CarrierB b(problem.b, g, column0, extent.columns);
  const int x = static_cast<int>(threadIdx.x) % 8 * kQuad;
  const int y = static_cast<int>(threadIdx.x) / 8 * kQuad;

  float sum[8][4 * kHalves] = {};
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
    const float* tile_a = tile + now * kTileFloats + y;
    const float* tile_b = tile + now * kTileFloats + kTileDepth * kRowA + x;
    FEDSELECT_UNROLL
    for (int k = 0; k < kTileDepth; ++k) {
      alignas(sizeof(float4)) float left[8], right[4 * kHalves];
      FEDSELECT_UNROLL
      for (int half = 0; half < 2; ++half)
        store4(left + 4 * half, load4(tile_a + k * kRowA + 64 * half));
      FEDSELECT_UNROLL
      for (int half = 0; half < kHalves; ++half)
        store4(right + 4 * half, load4(tile_b + k * kRowB + 32 * half));
      FEDSELECT_UNROLL
      for (int i = 0; i < 8; ++i)
        FEDSELECT_UNROLL
        for (int j = 0; j < 4 * kHalves; ++j) sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
    }
    if (more) {
      float* next = tile + (now ^ 1) * kTileFloats;
      a.put(next);
      b.put(next + kTileDepth * kRowA);
    }
    __syncthreads();
  }

  const auto row_of = [&](int i) { return row0 + i / 4 * 64 + y + i % 4; };
  const auto column_of = [&](int j) { return column0 + j / 4 * 32 + x + j % 4; };
  if constexpr (Problem::kAlongRows) {
    FEDSELECT_UNROLL
    for (int j = 0; j < 4 * kHalves; ++j)
      FEDSELECT_UNROLL
      for (int i = 0; i < 8; i += 4)
        if (row_of(i) < extent.rows && column_of(j) < extent.columns)
          problem.store(g, part, row_of(i), column_of(j),
                        {sum[i][j], sum[i + 1][j], sum[i + 2][j], sum[i + 3][j]},
                        extent.rows - row_of(i));
  } else {
    FEDSELECT_UNROLL
    for (int i = 0; i < 8; ++i)
      FEDSELECT_UNROLL
      for (int j = 0; j < 4 * kHalves; j += 4)
        if (row_of(i) < extent.rows && column_of(j) < extent.columns)
          problem.store(g, part, row_of(i), column_of(j),
                        {sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]},
                        extent.columns - column_of(j));
  }
}

/// How many parts a product of this depth has.
template <class Problem>
__host__ __device__ int parts_of(int depth) {
  return depth / Problem::kPartDepth + (depth % Problem::kPartDepth != 0 ? 1 : 0);
}

/// Puts the products of all clients on the stream.
template <class Problem>
[[nodiscard]] cudaError_t launch_product(const DeviceGroup& group, const Problem& problem,
                                         cudaStream_t stream) {
  const Extent most = problem.extent(group.most);
  const bool narrow = most.columns <= 32;
  const int tile_columns = narrow ? 32 : 64;
  const int tiles = (most.rows + kTileRows - 1) / kTileRows *
                    ((most.columns + tile_columns - 1) / tile_columns);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(group.clients),
                  static_cast<unsigned>(parts_of<Problem>(most.depth)));
  const std::size_t shared_bytes =
      sizeof(float) * 2 * kTileDepth * static_cast<std::size_t>(kTileRows + tile_columns + 2 * kQuad);
  return launch(narrow ? product_kernel<Problem, 32> : product_kernel<Problem, 64>, grid,
                kProductThreads, shared_bytes, stream, group, problem);
}

}  // namespace fedselect::cuda
