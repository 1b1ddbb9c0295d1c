// The top fraction of each range of each client, in a constant number of launches.
//
// A score's bits without the sign order as the scores do. Three rounds of a radix selection find
// the key of the last score that is taken: each counts the keys that agree with what is known, by
// their next bits, and then knows these too. The last round writes the mask word by word, with as
// many of the equal scores as are due, the lower index first.

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "cuda_ops.hpp"
#include "kernels.hpp"
#include "ops/messages.hpp"

namespace fedselect::cuda {
namespace {

constexpr int kBits[] = {11, 10, 10};  // of a key, from the highest
constexpr int kShifts[] = {20, 10, 0};
constexpr int kBins = 1 << 11;
constexpr unsigned kInfiniteKey = 0x7f800000;
constexpr unsigned kNone = 0x80000000;  // above every key
constexpr int kChunkWords = kChunk / 64;

/// What is known of a range's selection.
struct Cut {
  unsigned key;    ///< the bits found so far; at last the key of the last one taken
  unsigned nan;    ///< an eligible score is not a number
  long long left;  ///< how many are still to be taken among those that agree with `key`
};

struct Selection {
  ConstValues score;
  ConstBits eligible;
  Bits chosen;
  Cut* cuts;             ///< [client][range]
  unsigned* histograms;  ///< [client][range][kBins]
  unsigned* equals;      ///< [client][chunk]: scores equal to the last one; then those before it
  bool skip_zero;
  bool all_equals;  ///< Ties::threshold
};

/// Calls visit(index within the chunk, keys of the four scores from there on) for each quad of a
/// chunk that this thread has; a score that can't be taken has the key kNone. All threads of a warp
/// make the same number of calls.
template <class Visit>
__device__ __forceinline__ void for_each_quad_of_keys(const Selection& s, int g, const Chunk& chunk,
                                                      const Visit& visit) {
  constexpr int kQuads = kChunk / kThreads / kQuad;
  const Word* eligible = s.eligible[g] + chunk.begin / kWordBits;
  float4 scores[kQuads];
  unsigned bits[kQuads];
  FEDSELECT_UNROLL
  for (int q = 0; q < kQuads; ++q) {  // all loads first, so that they are on their way together
    const int at = (q * kThreads + static_cast<int>(threadIdx.x)) * kQuad;
    scores[q] = {};
    bits[q] = 0;
    if (at >= chunk.size) continue;
    scores[q] = load4(s.score[g] + chunk.begin + at);
    const unsigned inside = chunk.size - at >= kQuad ? 0xfU : (1U << (chunk.size - at)) - 1;
    bits[q] = static_cast<unsigned>(eligible[at / kWordBits] >> (at % kWordBits)) & inside;
  }
  const auto key_of = [&](float score, unsigned bit) {
    const unsigned key = __float_as_uint(score) & 0x7fffffffU;
    return bit == 0 || (s.skip_zero && key == 0) ? kNone : key;
  };
  FEDSELECT_UNROLL
  for (int q = 0; q < kQuads; ++q) {
    const unsigned keys[kQuad] = {
        key_of(scores[q].x, bits[q] & 1U), key_of(scores[q].y, bits[q] & 2U),
        key_of(scores[q].z, bits[q] & 4U), key_of(scores[q].w, bits[q] & 8U)};
    visit((q * kThreads + static_cast<int>(threadIdx.x)) * kQuad, keys);
  }
}

__global__ void begin_kernel(DeviceGroup group, int ranges, const long long* counts, Selection s) {
  const int g = static_cast<int>(blockIdx.y);
  for (int r = static_cast<int>(first_element()); r < ranges; r += static_cast<int>(element_step()))
    s.cuts[g * ranges + r] = {0, 0, group.samples[g] == 0 ? 0 : counts[g * ranges + r]};
}

/// Counts keys by their bits of this round.
__global__ void histogram_kernel(DeviceGroup group, DeviceRanges ranges, int round, int shift,
                                 int bits, Selection s) {
  __shared__ unsigned bins[kBins];
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  Cut* cut = &s.cuts[static_cast<std::size_t>(g) * ranges.count + chunk.range];
  for (int b = static_cast<int>(threadIdx.x); b < kBins; b += kThreads) bins[b] = 0;
  __syncthreads();
  const unsigned known = cut->key;
  for_each_quad_of_keys(s, g, chunk, [&](int, const unsigned(&keys)[kQuad]) {
    for (const unsigned key : keys) {
      if (key == kNone) continue;
      if (key > kInfiniteKey) atomicOr(&cut->nan, 1U);
      if (round == 0 || key >> (shift + bits) == known >> (shift + bits))
        atomicAdd(&bins[(key >> shift) & ((1U << bits) - 1)], 1U);
    }
  });
  __syncthreads();
  unsigned* all = s.histograms + (static_cast<std::size_t>(g) * ranges.count + chunk.range) * kBins;
  for (int b = static_cast<int>(threadIdx.x); b < kBins; b += kThreads)
    if (bins[b] != 0) atomicAdd(&all[b], bins[b]);
}

/// From the histogram of a range: the next bits of the last key taken, and how many are left to be
/// taken among the keys that have them. Clears the histogram.
__global__ void cut_kernel(DeviceGroup group, int ranges, int shift, Selection s) {
  constexpr int kPerThread = kBins / kThreads;
  __shared__ unsigned long long sums[kThreads];
  const int g = static_cast<int>(blockIdx.y);
  const int r = static_cast<int>(blockIdx.x);
  if (group.samples[g] == 0) return;
  Cut* cut = &s.cuts[static_cast<std::size_t>(g) * ranges + r];
  unsigned* bins = s.histograms + (static_cast<std::size_t>(g) * ranges + r) * kBins;
  const int t = static_cast<int>(threadIdx.x);
  const int top = kBins - 1 - t * kPerThread;  // this thread's bins go down from here
  unsigned mine[kPerThread];
  unsigned long long sum = 0;
  for (int b = 0; b < kPerThread; ++b) {
    mine[b] = bins[top - b];
    bins[top - b] = 0;
    sum += mine[b];
  }
  const long long left = cut->left;
  const unsigned known = cut->key;
  sums[t] = sum;
  __syncthreads();
  if (known == kNone || left <= 0) {
    if (t == 0) cut->key = kNone;  // nothing is taken
    return;
  }
  unsigned long long before = 0, total = 0;
  for (int other = 0; other < kThreads; ++other) {
    before += other < t ? sums[other] : 0;
    total += sums[other];
  }
  const auto due = static_cast<unsigned long long>(left);
  if (total <= due) {  // all are taken: those that agree go down to the lowest key
    if (t == 0) cut->left = left;
    return;
  }
  if (before >= due || before + sum < due) return;
  for (int b = 0; b < kPerThread; ++b) {
    if (before + mine[b] >= due) {
      cut->key = known | static_cast<unsigned>(top - b) << shift;
      cut->left = static_cast<long long>(due - before);
      return;
    }
    before += mine[b];
  }
}

/// How many scores of each chunk equal the last one taken.
__global__ void equals_kernel(DeviceGroup group, DeviceRanges ranges, Selection s) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  const unsigned key = s.cuts[static_cast<std::size_t>(g) * ranges.count + chunk.range].key;
  if (key == kNone) return;  // nothing is taken
  unsigned count = 0;
  for_each_quad_of_keys(s, g, chunk, [&](int, const unsigned(&keys)[kQuad]) {
    for (const unsigned other : keys) count += other == key ? 1 : 0;
  });
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    count += __shfl_xor_sync(kAllLanes, count, offset);
  if (threadIdx.x % kWarp == 0 && count != 0)
    atomicAdd(&s.equals[static_cast<std::size_t>(g) * ranges.chunks + blockIdx.x], count);
}

/// equals[chunk] <- equal scores in the chunks of its range before it.
__global__ void offsets_kernel(DeviceGroup group, DeviceRanges ranges, Selection s) {
  __shared__ unsigned sums[kThreads];
  const int g = static_cast<int>(blockIdx.y);
  const int r = static_cast<int>(blockIdx.x);
  if (group.samples[g] == 0) return;
  const unsigned begin = ranges.first_chunk[r], end = ranges.first_chunk[r + 1];
  unsigned* equals = s.equals + static_cast<std::size_t>(g) * ranges.chunks;
  exclusive_sums(equals + begin, end - begin, sums);
}

/// Writes the mask's words.
__global__ void choose_kernel(DeviceGroup group, DeviceRanges ranges, Selection s) {
  __shared__ unsigned above[kChunkWords * 2], equal[kChunkWords * 2];  // halves of words
  constexpr int kLanes = kWarp / kQuad;                                // that make one half
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  const Cut cut = s.cuts[static_cast<std::size_t>(g) * ranges.count + chunk.range];
  if (cut.nan != 0) return;
  for_each_quad_of_keys(s, g, chunk, [&](int at, const unsigned(&keys)[kQuad]) {
    unsigned more = 0, same = 0;
    for (int j = 0; j < kQuad; ++j) {
      const bool taken = cut.key != kNone && keys[j] != kNone;
      more |= taken && keys[j] > cut.key ? 1U << (at % kWarp + j) : 0;
      same |= taken && keys[j] == cut.key ? 1U << (at % kWarp + j) : 0;
    }
    for (int lanes = 1; lanes < kLanes; lanes *= 2) {
      more |= __shfl_xor_sync(kAllLanes, more, lanes);
      same |= __shfl_xor_sync(kAllLanes, same, lanes);
    }
    if (at % kWarp == 0) {
      above[at / kWarp] = more;
      equal[at / kWarp] = same;
    }
  });
  __syncthreads();
  const int w = static_cast<int>(threadIdx.x);
  if (w * 64 >= chunk.size) return;
  long long before = s.equals[static_cast<std::size_t>(g) * ranges.chunks + blockIdx.x];
  for (int h = 0; h < 2 * w; ++h) before += __popc(equal[h]);
  Word same = Word{equal[2 * w + 1]} << 32 | equal[2 * w];
  if (!s.all_equals) {
    long long due = cut.left - before;
    Word taken = 0;
    if (due >= __popcll(same)) {
      taken = same;
    } else {
      for (; due > 0; --due) {
        taken |= same & (~same + 1);
        same &= same - 1;
      }
    }
    same = taken;
  }
  s.chosen[g][chunk.begin / kWordBits + static_cast<std::size_t>(w)] =
      same | (Word{above[2 * w + 1]} << 32 | above[2 * w]);
}

}  // namespace

// Limited by memory: the scores are read five times (by 4 bytes and 1/8), mostly from the cache of
// a GPU of today for a group of small networks.
void CudaOps::select_top(const Group& group, std::span<const Range> ranges,
                         std::span<const std::int64_t> counts, Ties ties, bool skip_zero,
                         ConstValues score, ConstBits eligible, Bits chosen) {
  const DeviceGroup here = on_device(group);
  const DeviceRanges table = on_device(ranges);
  if (here.most == 0 || table.chunks == 0) return;
  const auto clients = static_cast<std::size_t>(here.clients);
  const std::size_t pairs = clients * ranges.size();
  Arena::Frame frame(arena_);
  const Selection s{.score = score,
                    .eligible = eligible,
                    .chosen = chosen,
                    .cuts = frame.take<Cut>(pairs),
                    .histograms = frame.take<unsigned>(pairs * kBins),
                    .equals = frame.take<unsigned>(clients * table.chunks),
                    .skip_zero = skip_zero,
                    .all_equals = ties == Ties::threshold};
  zero(s.histograms, pairs * kBins * sizeof(unsigned));
  zero(s.equals, clients * table.chunks * sizeof(unsigned));
  const auto* due = reinterpret_cast<const long long*>(send(frame, counts.first(pairs)));
  const dim3 by_chunk(table.chunks, static_cast<unsigned>(here.clients));
  const dim3 by_range(static_cast<unsigned>(ranges.size()), static_cast<unsigned>(here.clients));
  FEDSELECT_CUDA(launch(begin_kernel, grid_of(ranges.size(), here.clients), kThreads, 0,
                        stream_.get(), here, table.count, due, s));
  for (int round = 0; round < 3; ++round) {
    FEDSELECT_CUDA(launch(histogram_kernel, by_chunk, kThreads, 0, stream_.get(), here, table,
                          round, kShifts[round], kBits[round], s));
    FEDSELECT_CUDA(launch(cut_kernel, by_range, kThreads, 0, stream_.get(), here, table.count,
                          kShifts[round], s));
  }
  FEDSELECT_CUDA(launch(equals_kernel, by_chunk, kThreads, 0, stream_.get(), here, table, s));
  FEDSELECT_CUDA(launch(offsets_kernel, by_range, kThreads, 0, stream_.get(), here, table, s));
  FEDSELECT_CUDA(launch(choose_kernel, by_chunk, kThreads, 0, stream_.get(), here, table, s));
  std::vector<Cut> cuts(pairs);
  fetch(std::span(cuts), s.cuts);
  for (std::size_t i = 0; i < pairs; ++i)
    if (group.samples[i / ranges.size()] != 0 && cuts[i].nan != 0)
      throw InputError(score_not_a_number(static_cast<int>(i / ranges.size()), i % ranges.size(),
                                          ranges[i % ranges.size()]));
}

}  // namespace fedselect::cuda
