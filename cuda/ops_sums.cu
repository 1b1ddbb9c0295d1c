// Exact sums of what clients share, and the packing of what they keep. Limited by memory.

#include <algorithm>
#include <vector>

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

constexpr unsigned long long kNobody = ~0ULL;
constexpr int kChunkWords = kChunk / 64;

struct Shared {
  ConstValues theta;
  ConstBits mask;
  const unsigned* weights;  ///< one a client

  /// The client's weight; 0 if it does not take part.
  __device__ __forceinline__ unsigned weight(const DeviceGroup& group, int g) const {
    return group.samples[g] == 0 ? 0 : weights[g];
  }
  /// Bit j: the client shares index i + j.
  template <int kWide>
  __device__ __forceinline__ unsigned shared(int g, std::size_t i) const {
    constexpr unsigned kAll = (1U << kWide) - 1;
    return mask ? ~static_cast<unsigned>(mask[g][i / kWordBits] >> (i % kWordBits)) & kAll : kAll;
  }
};

/// first <- client * size + index of the first shared value that is not below the limit.
template <int kWide>
__global__ void check_kernel(DeviceGroup group, std::size_t size, Shared shared,
                             unsigned long long* first) {
  const int g = static_cast<int>(blockIdx.y);
  if (shared.weight(group, g) == 0) return;
  for (std::size_t i = first_element() * kWide; i < size; i += element_step() * kWide) {
    const unsigned bits = shared.shared<kWide>(g, i);
    const auto theta = wide<kWide>(shared.theta[g] + i);
    for (int j = 0; j < kWide; ++j)
      if (((bits >> j) & 1U) != 0 && !(fabsf(theta.values[j]) < FixedPoint::kMagnitudeLimit))
        atomicMin(first, static_cast<unsigned long long>(g) * size + i + static_cast<unsigned>(j));
  }
}

/// A thread adds what all clients of the group share at its indices: no two threads meet at a sum.
template <int kWide>
__global__ void accumulate_kernel(DeviceGroup group, std::size_t size, FixedPoint fixed,
                                  double scale, Shared shared, const unsigned long long* first,
                                  SumView sum) {
  if (*first != kNobody) return;
  for (std::size_t i = first_element() * kWide; i < size; i += element_step() * kWide) {
    long long low[kWide] = {}, high[kWide] = {};
    unsigned weight[kWide] = {};
    for (int g = 0; g < group.clients; ++g) {
      const unsigned w = shared.weight(group, g);
      if (w == 0) continue;
      const unsigned bits = shared.shared<kWide>(g, i);
      const auto theta = wide<kWide>(shared.theta[g] + i);
      for (int j = 0; j < kWide; ++j) {
        if (((bits >> j) & 1U) == 0) continue;
        const long long q = __double2ll_rn(static_cast<double>(theta.values[j]) * scale);
        weight[j] += w;
        if (fixed.two_words) {
          // w q = b 2^32 + a, with a = w * (q mod 2^32) and b = w * floor(q / 2^32).
          const unsigned long long a = static_cast<unsigned long long>(w) *
                                       (static_cast<unsigned long long>(q) & 0xffffffffU);
          high[j] += static_cast<long long>(w) * (q >> 32) + static_cast<long long>(a >> 32);
          low[j] += static_cast<long long>(a & 0xffffffffU);
        } else {
          low[j] += static_cast<long long>(w) * q;
        }
      }
    }
    for (int j = 0; j < kWide; ++j) {
      if (weight[j] == 0) continue;
      sum.low[i + j] += low[j];
      if (fixed.two_words) sum.high[i + j] += high[j];
      sum.weight[i + j] += weight[j];
    }
  }
}

__global__ void divide_kernel(std::size_t size, FixedPoint fixed, double scale, SumView sum,
                              float* global) {
  for (std::size_t i = first_element(); i < size; i += element_step()) {
    if (sum.weight[i] == 0) continue;
    double value;
    if (fixed.two_words) {
      // high 2^32 + low: normalised so that low < 2^32, then high = its nearest double + rest. Only
      // the last addition rounds.
      const long long high = sum.high[i] + (sum.low[i] >> 32);
      const long long low = sum.low[i] & 0xffffffff;
      const double nearest = __ll2double_rn(high);
      const long long rest = high - static_cast<long long>(nearest);
      value = __dadd_rn(__dmul_rn(nearest, 4294967296.0), __ll2double_rn(rest * (1LL << 32) + low));
    } else {
      value = __ll2double_rn(sum.low[i]);
    }
    global[i] = static_cast<float>(__ddiv_rn(value, __dmul_rn(sum.weight[i], scale)));
  }
}

__global__ void unshared_kernel(std::size_t size, SumView sum, Word* bits) {
  const std::size_t i = first_element();
  const unsigned half = __ballot_sync(kAllLanes, i < size && sum.weight[i] == 0 ? 1 : 0);
  if (i % kWarp == 0 && i < (size + 63) / 64 * 64)
    reinterpret_cast<unsigned*>(bits)[i / kWarp] = half;
}

/// counts[client][chunk] <- bits set in the chunk.
__global__ void chunk_bits_kernel(DeviceGroup group, DeviceRanges ranges, ConstBits mask,
                                  unsigned* counts) {
  const int g = static_cast<int>(blockIdx.y);
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  unsigned count = 0;
  const int w = static_cast<int>(threadIdx.x);
  if (group.samples[g] != 0 && w * 64 < chunk.size)
    count = static_cast<unsigned>(__popcll(
        mask[g][chunk.begin / kWordBits + static_cast<std::size_t>(w)] & inside(chunk, w)));
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    count += __shfl_xor_sync(kAllLanes, count, offset);
  if (w % kWarp == 0 && count != 0)
    atomicAdd(&counts[static_cast<std::size_t>(g) * ranges.chunks + blockIdx.x], count);
}

/// counts[chunk] <- bits before the chunk; totals[client] <- all.
__global__ void ranks_kernel(unsigned chunks, unsigned* counts, unsigned long long* totals) {
  __shared__ unsigned space[kThreads];
  const int g = static_cast<int>(blockIdx.y);
  const unsigned all = exclusive_sums(counts + static_cast<std::size_t>(g) * chunks, chunks, space);
  if (threadIdx.x == 0) totals[g] = all;
}

/// Moves values between their places (where the mask is 1) and their ranks.
template <bool packs>
__global__ void move_kernel(DeviceGroup group, DeviceRanges ranges, ConstBits mask,
                            const unsigned* before, Values places, Values packed) {
  auto* ranks = dynamic_shared<unsigned>();  // before each word of the chunk
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  const Word* words = mask[g] + chunk.begin / kWordBits;
  if (threadIdx.x < kChunkWords) {
    const int w = static_cast<int>(threadIdx.x);
    unsigned rank = before[static_cast<std::size_t>(g) * ranges.chunks + blockIdx.x];
    for (int earlier = 0; earlier < w; ++earlier)
      rank += static_cast<unsigned>(earlier * 64 < chunk.size ? __popcll(words[earlier]) : 0);
    ranks[w] = rank;
  }
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < chunk.size; at += kThreads) {
    const Word word = words[at / 64];
    const Word below = (Word{1} << (at % 64)) - 1;
    if (((word >> (at % 64)) & 1U) == 0) continue;
    const std::size_t i = chunk.begin + static_cast<std::size_t>(at);
    const std::size_t rank = ranks[at / 64] + static_cast<unsigned>(__popcll(word & below));
    if constexpr (packs)
      packed[g][rank] = places[g][i];
    else
      places[g][i] = packed[g][rank];
  }
}

double power_of_two(int exponent) { return std::ldexp(1.0, exponent); }

Values writable(ConstValues values) { return {const_cast<float*>(values.data), values.stride}; }

}  // namespace

std::ptrdiff_t CudaOps::accumulate(const Group& group, std::size_t size, const FixedPoint& fixed,
                                   std::span<const std::uint32_t> weights, ConstValues theta,
                                   ConstBits mask, const SumView& sum) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || size == 0) return -1;
  Arena::Frame frame(arena_);
  const Shared shared{theta, mask,
                      send(frame, weights.first(static_cast<std::size_t>(here.clients)))};
  auto* first = frame.take<unsigned long long>(1);
  FEDSELECT_CUDA(cudaMemsetAsync(first, 0xff, sizeof(*first), stream_.get()));
  const bool quads = size % kQuad == 0 && is_aligned(theta);
  const int at_once = quads ? kQuad : 1;
  FEDSELECT_CUDA(launch(quads ? check_kernel<kQuad> : check_kernel<1>,
                        grid_of(size, here.clients, at_once), kThreads, 0, stream_.get(), here,
                        size, shared, first));
  FEDSELECT_CUDA(launch(quads ? accumulate_kernel<kQuad> : accumulate_kernel<1>,
                        grid_of(size, 1, at_once), kThreads, 0, stream_.get(), here, size, fixed,
                        power_of_two(fixed.fraction_bits), shared, first, sum));
  unsigned long long found = 0;
  fetch(std::span(&found, 1), first);
  return found == kNobody ? -1 : static_cast<std::ptrdiff_t>(found);
}

void CudaOps::divide(std::size_t size, const FixedPoint& fixed, const SumView& sum, float* global) {
  if (size == 0) return;
  FEDSELECT_CUDA(launch(divide_kernel, grid_of(size, 1), kThreads, 0, stream_.get(), size, fixed,
                        power_of_two(fixed.fraction_bits), sum, global));
}

void CudaOps::unshared(std::size_t size, const SumView& sum, Word* bits) {
  if (size == 0) return;
  const dim3 grid(static_cast<unsigned>((size + kThreads - 1) / kThreads));
  FEDSELECT_CUDA(launch(unshared_kernel, grid, kThreads, 0, stream_.get(), size, sum, bits));
}

CudaOps::Ranks CudaOps::rank_bits(Arena::Frame& frame, const DeviceGroup& here,
                                  const DeviceRanges& table, ConstBits mask) {
  const auto clients = static_cast<std::size_t>(here.clients);
  const Ranks ranks{frame.take<unsigned>(clients * table.chunks),
                    frame.take<unsigned long long>(clients)};
  zero(ranks.before, clients * table.chunks * sizeof(unsigned));
  FEDSELECT_CUDA(launch(chunk_bits_kernel, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                        kThreads, 0, stream_.get(), here, table, mask, ranks.before));
  FEDSELECT_CUDA(launch(ranks_kernel, dim3(1, static_cast<unsigned>(here.clients)), kThreads, 0,
                        stream_.get(), table.chunks, ranks.before, ranks.totals));
  return ranks;
}

void CudaOps::pack(const Group& group, std::size_t size, ConstValues theta, ConstBits mask,
                   Values packed, std::span<std::size_t> counts) {
  std::fill(counts.begin(), counts.end(), std::size_t{0});
  const DeviceGroup here = on_device(group);
  const Range all{0, size};
  const DeviceRanges table = on_device(std::span(&all, 1));
  if (here.most == 0 || size == 0) return;
  Arena::Frame frame(arena_);
  const Ranks ranks = rank_bits(frame, here, table, mask);
  FEDSELECT_CUDA(launch(move_kernel<true>, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                        kThreads, kChunkWords * sizeof(unsigned), stream_.get(), here, table, mask,
                        ranks.before, writable(theta), packed));
  download(counts.data(), ranks.totals,
           static_cast<std::size_t>(here.clients) * sizeof(std::size_t));
}

void CudaOps::unpack(const Group& group, std::size_t size, ConstValues packed, ConstBits mask,
                     Values theta) {
  const DeviceGroup here = on_device(group);
  const Range all{0, size};
  const DeviceRanges table = on_device(std::span(&all, 1));
  if (here.most == 0 || size == 0) return;
  Arena::Frame frame(arena_);
  const Ranks ranks = rank_bits(frame, here, table, mask);
  FEDSELECT_CUDA(launch(move_kernel<false>, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                        kThreads, kChunkWords * sizeof(unsigned), stream_.get(), here, table, mask,
                        ranks.before, theta, writable(packed)));
}

}  // namespace fedselect::cuda
