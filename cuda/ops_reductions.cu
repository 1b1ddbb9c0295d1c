// What ops on parameter vectors tell the host, and ops on bits. Limited by memory: each array is
// read once.
//
// Sums are formed in double: each chunk's in a fixed order, then the chunks' in theirs, so that a
// client's result depends on its own values alone.

#include <algorithm>
#include <vector>

#include "cuda_ops.hpp"
#include "kernels.hpp"

namespace fedselect::cuda {
namespace {

constexpr int kWarps = kThreads / kWarp;

/// partial[client][chunk] = sum of x y over the chunk.
__global__ void dot_kernel(DeviceGroup group, DeviceRanges ranges, ConstValues x, ConstValues y,
                           double* partial) {
  __shared__ double space[kWarps];
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  double sum = 0;
  for (int at = static_cast<int>(threadIdx.x); at < chunk.size; at += kThreads) {
    const std::size_t i = chunk.begin + static_cast<std::size_t>(at);
    sum += static_cast<double>(x[g][i]) * static_cast<double>(y[g][i]);
  }
  sum = block_sum(sum, space);
  if (threadIdx.x == 0) partial[static_cast<std::size_t>(g) * ranges.chunks + blockIdx.x] = sum;
}

/// The sum of a client's partial sums, in every thread.
__device__ __forceinline__ double whole_sum(const double* partial, unsigned chunks, double* space) {
  double sum = 0;
  for (unsigned c = threadIdx.x; c < chunks; c += kThreads) sum += partial[c];
  return block_sum(sum, space);
}

__global__ void total_kernel(DeviceGroup group, unsigned chunks, const double* partial,
                             double* out) {
  __shared__ double space[kWarps];
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const double sum = whole_sum(partial + static_cast<std::size_t>(g) * chunks, chunks, space);
  if (threadIdx.x == 0) out[g] = sum;
}

__global__ void clip_kernel(DeviceGroup group, unsigned chunks, const double* partial, double limit,
                            Values scale) {
  __shared__ double space[kWarps];
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const double sum = whole_sum(partial + static_cast<std::size_t>(g) * chunks, chunks, space);
  const double factor = limit / (sqrt(sum) + 1e-6);
  if (threadIdx.x == 0) *scale[g] = static_cast<float>(factor < 1 ? factor : 1.0);
}

/// most[client] = largest magnitude, as the bits of a float; what is not a number is above
/// infinity.
__global__ void magnitude_kernel(DeviceGroup group, std::size_t size, ConstValues values,
                                 unsigned* most) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  unsigned largest = 0;
  for (std::size_t i = first_element(); i < size; i += element_step())
    largest = max(largest, __float_as_uint(values[g][i]) & 0x7fffffffU);
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    largest = max(largest, __shfl_xor_sync(kAllLanes, largest, offset));
  if (threadIdx.x % kWarp == 0) atomicMax(&most[g], largest);
}

__global__ void change_kernel(DeviceGroup group, std::size_t size, ConstValues theta,
                              ConstValues reference, Values out) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  for (std::size_t i = first_element(); i < size; i += element_step())
    out[g][i] = fabsf(reference ? __fsub_rn(theta[g][i], reference[g][i]) : theta[g][i]);
}

__global__ void and_not_kernel(std::size_t words, ConstBits a, ConstBits b, Bits out) {
  const int g = static_cast<int>(blockIdx.y);
  for (std::size_t w = first_element(); w < words; w += element_step())
    out[g][w] = a[g][w] & ~b[g][w];
}

__global__ void or_kernel(std::size_t words, ConstBits a, ConstBits b, Bits out) {
  const int g = static_cast<int>(blockIdx.y);
  for (std::size_t w = first_element(); w < words; w += element_step())
    out[g][w] = a[g][w] | b[g][w];
}

/// counts[client][range] += the bits set in a chunk.
__global__ void count_kernel(DeviceGroup group, DeviceRanges ranges, ConstBits bits,
                             unsigned long long* counts) {
  const int g = static_cast<int>(blockIdx.y);
  if (group.samples[g] == 0) return;
  const Chunk chunk = chunk_of(ranges, blockIdx.x);
  unsigned count = 0;
  for (int w = static_cast<int>(threadIdx.x); w * 64 < chunk.size; w += kThreads)
    count += static_cast<unsigned>(__popcll(
        bits[g][chunk.begin / kWordBits + static_cast<std::size_t>(w)] & inside(chunk, w)));
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    count += __shfl_xor_sync(kAllLanes, count, offset);
  if (threadIdx.x % kWarp == 0 && count != 0)
    atomicAdd(&counts[static_cast<std::size_t>(g) * ranges.count + chunk.range],
              static_cast<unsigned long long>(count));
}

}  // namespace

double* CudaOps::partial_dots(Arena::Frame& frame, const DeviceGroup& here,
                              const DeviceRanges& table, ConstValues x, ConstValues y) {
  auto* partial = frame.take<double>(static_cast<std::size_t>(here.clients) * table.chunks);
  if (table.chunks > 0)
    FEDSELECT_CUDA(launch(dot_kernel, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                          kThreads, 0, stream_.get(), here, table, x, y, partial));
  return partial;
}

void CudaOps::clip_scale(const Group& group, std::span<const Range> ranges, double limit,
                         ConstValues gradient, Values scale) {
  const DeviceGroup here = on_device(group);
  const DeviceRanges table = on_device(ranges);
  if (here.most == 0) return;
  Arena::Frame frame(arena_);
  const double* partial = partial_dots(frame, here, table, gradient, gradient);
  FEDSELECT_CUDA(launch(clip_kernel, dim3(1, static_cast<unsigned>(here.clients)), kThreads, 0,
                        stream_.get(), here, table.chunks, partial, limit, scale));
}

void CudaOps::dot(const Group& group, std::span<const Range> ranges, ConstValues x, ConstValues y,
                  std::span<double> out) {
  const DeviceGroup here = on_device(group);
  const DeviceRanges table = on_device(ranges);
  if (here.most == 0) return;
  Arena::Frame frame(arena_);
  const double* partial = partial_dots(frame, here, table, x, y);
  auto* sums = frame.take<double>(static_cast<std::size_t>(here.clients));
  FEDSELECT_CUDA(launch(total_kernel, dim3(1, static_cast<unsigned>(here.clients)), kThreads, 0,
                        stream_.get(), here, table.chunks, partial, sums));
  std::vector<double> all(static_cast<std::size_t>(here.clients));
  fetch(std::span(all), sums);
  for (std::size_t g = 0; g < all.size(); ++g)
    if (group.samples[g] != 0) out[g] = all[g];
}

void CudaOps::largest_magnitude(const Group& group, std::size_t size, ConstValues values,
                                std::span<double> out) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return;
  Arena::Frame frame(arena_);
  auto* most = frame.take<unsigned>(static_cast<std::size_t>(here.clients));
  std::vector<unsigned> all(static_cast<std::size_t>(here.clients));
  zero(most, all.size() * sizeof(unsigned));
  constexpr int kPerThread = 16;
  if (size > 0)
    FEDSELECT_CUDA(launch(magnitude_kernel, grid_of(size, here.clients, kPerThread), kThreads, 0,
                          stream_.get(), here, size, values, most));
  fetch(std::span(all), most);
  constexpr unsigned kInfinity = 0x7f800000;
  for (std::size_t g = 0; g < all.size(); ++g)
    if (group.samples[g] != 0)
      out[g] = static_cast<double>(std::bit_cast<float>(std::min(all[g], kInfinity)));
}

void CudaOps::change_magnitude(const Group& group, std::size_t size, ConstValues theta,
                               ConstValues reference, Values out) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0 || size == 0) return;
  FEDSELECT_CUDA(launch(change_kernel, grid_of(size, here.clients), kThreads, 0, stream_.get(),
                        here, size, theta, reference, out));
}

void CudaOps::bits_and_not(const Group& group, std::size_t words, ConstBits a, ConstBits b,
                           Bits out) {
  if (group.size() == 0 || words == 0) return;
  FEDSELECT_CUDA(launch(and_not_kernel, grid_of(words, group.size()), kThreads, 0, stream_.get(),
                        words, a, b, out));
}

void CudaOps::bits_or(const Group& group, std::size_t words, ConstBits a, ConstBits b, Bits out) {
  if (group.size() == 0 || words == 0) return;
  FEDSELECT_CUDA(launch(or_kernel, grid_of(words, group.size()), kThreads, 0, stream_.get(), words,
                        a, b, out));
}

void CudaOps::count_bits(const Group& group, std::span<const Range> ranges, ConstBits bits,
                         std::span<std::int64_t> counts) {
  std::fill(counts.begin(), counts.end(), 0);
  const DeviceGroup here = on_device(group);
  const DeviceRanges table = on_device(ranges);
  if (here.most == 0 || table.chunks == 0) return;
  Arena::Frame frame(arena_);
  const std::size_t pairs = static_cast<std::size_t>(here.clients) * ranges.size();
  auto* found = frame.take<unsigned long long>(pairs);
  zero(found, pairs * sizeof(unsigned long long));
  FEDSELECT_CUDA(launch(count_kernel, dim3(table.chunks, static_cast<unsigned>(here.clients)),
                        kThreads, 0, stream_.get(), here, table, bits, found));
  download(counts.data(), found, pairs * sizeof(std::int64_t));
}

}  // namespace fedselect::cuda
