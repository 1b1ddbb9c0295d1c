// What cuda/host promises: kernels run as on a GPU, and what a GPU would not forgive shows.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "arena.hpp"
#include "base/error.hpp"
#include "check.hpp"
#include "device.hpp"
#include "host/blocks.hpp"
#include "host/fiber.hpp"
#include "kernels.hpp"
#include "launch.hpp"

namespace fedselect::cuda {
namespace {

constexpr int kThreads = 96;

class Host : public testing::Test {
 protected:
  void TearDown() override { host::set_order(host::Order::forward); }

  /// Device memory for floats, freed at the end.
  float* floats(std::size_t count) {
    memory_.push_back(make_device_memory(count * sizeof(float)));
    return static_cast<float*>(memory_.back().get());
  }
  std::vector<float> read(const float* device, std::size_t count) {
    std::vector<float> values(count);
    FEDSELECT_CUDA(cudaMemcpyAsync(values.data(), device, count * sizeof(float),
                                   cudaMemcpyDeviceToHost, stream()));
    return values;
  }
  cudaStream_t stream() { return stream_.get(); }

  static constexpr host::Order kOrders[] = {host::Order::forward, host::Order::reversed,
                                            host::Order::shuffled};

 private:
  Stream stream_ = make_stream();
  std::vector<DeviceMemory> memory_;
};

/// out[i] = the sum of i + 1, ..., threads, by way of shared memory; `waits`: with its barrier.
template <bool waits>
__device__ void sum_of_later(float* out, float* values) {
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (waits) __syncthreads();
  float sum = 0;
  for (unsigned i = threadIdx.x; i < blockDim.x; ++i) sum += values[i];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
__global__ void barrier_kernel(float* out) {
  __shared__ float values[kThreads];
  sum_of_later<true>(out, values);
}
__global__ void missing_barrier_kernel(float* out) {
  __shared__ float values[kThreads];
  sum_of_later<false>(out, values);
}
__global__ void dynamic_kernel(float* out) { sum_of_later<true>(out, dynamic_shared<float>()); }

float expected_sum(std::size_t i) {
  float sum = 0;
  for (std::size_t j = i % kThreads; j < kThreads; ++j) sum += static_cast<float>(j);
  return sum;
}

TEST_F(Host, BarriersHoldInEveryOrder) {
  for (const host::Order order : kOrders) {
    host::set_order(order, 3);
    float* out = floats(3 * kThreads);
    FEDSELECT_CUDA(launch(barrier_kernel, 3, kThreads, 0, stream(), out));
    const auto sums = read(out, 3 * kThreads);
    FEDSELECT_CUDA(launch(dynamic_kernel, 3, kThreads, kThreads * sizeof(float), stream(), out));
    EXPECT_EQ(sums, read(out, 3 * kThreads));
    for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(sums[i], expected_sum(i));
  }
}

TEST_F(Host, AMissingBarrierShows) {
  float* out = floats(kThreads);
  FEDSELECT_CUDA(launch(missing_barrier_kernel, 1, kThreads, 0, stream(), out));
  const auto sums = read(out, kThreads);
  EXPECT_TRUE(std::isnan(sums[0])) << "shared memory that nobody has written is poisoned";
}

/// out[i] <- each round's number, by way of one place in shared memory that the next round
/// overwrites; `waits`: until all have read it.
template <bool waits>
__device__ void pass_on(float* out, float* place) {
  for (int round = 0; round < 2; ++round) {
    __syncwarp();
    if (threadIdx.x == 0) *place = static_cast<float>(round);
    __syncthreads();
    __syncwarp();
    out[threadIdx.x * 2 + round] = *place;
    if (waits) __syncthreads();
  }
}
__global__ void reuse_kernel(float* out) {
  __shared__ float place;
  pass_on<true>(out, &place);
}
__global__ void early_reuse_kernel(float* out) {
  __shared__ float place;
  pass_on<false>(out, &place);
}

TEST_F(Host, AMissingBarrierBeforeMemoryIsUsedAgainShows) {
  int wrong = 0;
  for (const host::Order order : kOrders) {
    host::set_order(order, 3);
    float* out = floats(2 * kThreads);
    FEDSELECT_CUDA(launch(reuse_kernel, 1, kThreads, 0, stream(), out));
    for (std::size_t i = 0; const float value : read(out, 2 * kThreads))
      EXPECT_EQ(value, static_cast<float>(i++ % 2));
    FEDSELECT_CUDA(launch(early_reuse_kernel, 1, kThreads, 0, stream(), out));
    const auto values = read(out, 2 * kThreads);
    wrong += values[0] == 0 && values[2 * kThreads - 2] == 0 ? 0 : 1;
  }
  EXPECT_GT(wrong, 0) << "in no order a warp was ahead of another";
}

__global__ void shuffle_kernel(float* out) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float sum = static_cast<float>(lane);
  for (int bit = 16; bit > 0; bit /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, bit);
  const float up = __shfl_up_sync(0xffffffffU, static_cast<float>(lane), 1);
  const float down = __shfl_down_sync(0xffffffffU, static_cast<float>(lane), 1);
  const unsigned odd = __ballot_sync(0xffffffffU, lane % 2);
  out[threadIdx.x] = sum + 1000 * up + 100000 * down + (odd == 0xaaaaaaaaU ? 0 : 0.5F);
}

TEST_F(Host, WarpsExchangeValues) {
  for (const host::Order order : kOrders) {
    host::set_order(order, 5);
    float* out = floats(64);
    FEDSELECT_CUDA(launch(shuffle_kernel, 1, 64, 0, stream(), out));
    const auto values = read(out, 64);
    for (std::size_t i = 0; i < 64; ++i) {
      const auto lane = static_cast<float>(i % 32);
      const float up = lane == 0 ? 0 : lane - 1, down = lane == 31 ? 31 : lane + 1;
      EXPECT_EQ(values[i], 496 + 1000 * up + 100000 * down);
    }
  }
}

// What is not allowed. The first fault of a process is the last thing its device does, so each has
// a process of its own.

__global__ void divergent_kernel() {
  if (threadIdx.x < 10)
    __syncthreads();
  else
    __syncwarp(0xfffffc00U);
  if (threadIdx.x >= 10) __syncthreads();
}
__global__ void wrong_mask_kernel(float* out) {
  out[threadIdx.x] = __shfl_sync(0x0000ffffU, 1.0F, 0);
}
__global__ void absent_lane_kernel(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffffffU, 1.0F, 0);
}

/// Ends the process with what CUDA says of the stream's work.
[[noreturn]] void report(cudaStream_t stream) {
  const cudaError_t code = cudaStreamSynchronize(stream);
  std::fprintf(stderr, "%s: %s\n", cudaGetErrorName(code), cudaGetErrorString(code));
  std::_Exit(code == cudaSuccess ? 0 : 1);
}

TEST_F(Host, DivergentBarriersAreCaught) {
  EXPECT_EXIT(
      {
        static_cast<void>(launch(divergent_kernel, 1, 32, 0, stream()));
        report(stream());
      },
      testing::ExitedWithCode(1), "cudaErrorLaunchFailure: divergent threads: of 32 threads");
}

TEST_F(Host, AShuffleMaskMustNameTheCaller) {
  float* out = floats(32);
  EXPECT_EXIT(
      {
        static_cast<void>(launch(wrong_mask_kernel, 1, 32, 0, stream(), out));
        report(stream());
      },
      testing::ExitedWithCode(1), "mask 0xffff does not name the calling lane 16");
}

TEST_F(Host, LanesThatDontComeAreMissed) {
  float* out = floats(32);
  EXPECT_EXIT(
      {
        static_cast<void>(launch(absent_lane_kernel, 1, 32, 0, stream(), out));
        report(stream());
      },
      testing::ExitedWithCode(1), "wait for lanes|16 for lanes of their warp");
}

TEST_F(Host, ImpossibleLaunchesAreRefused) {
  float* out = floats(1);
  EXPECT_EQ(launch(barrier_kernel, 0, 32, 0, stream(), out), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(barrier_kernel, 1, 1025, 0, stream(), out), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(barrier_kernel, dim3(1, 65536), 1, 0, stream(), out),
            cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(barrier_kernel, 1, 1, 100000, stream(), out), cudaErrorInvalidConfiguration);
}

__global__ void write_kernel(float* out, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = 1;
}

TEST_F(Host, WhatNobodyWroteIsNotANumber) {
  float* out = floats(40);
  FEDSELECT_CUDA(launch(write_kernel, 2, 32, 0, stream(), out, 39));
  const auto values = read(out, 40);
  EXPECT_EQ(values[38], 1);
  EXPECT_TRUE(std::isnan(values[39]));
}

TEST_F(Host, WhatAnotherOpLeftInScratchMemoryIsNotANumber) {
  Arena arena(stream());
  float* before = nullptr;
  for (int op = 0; op < 3; ++op) {  // the first brings the arena to its size
    Arena::Frame frame(arena);
    float* out = frame.take<float>(40);
    EXPECT_TRUE(op < 2 || out == before);
    before = out;
    FEDSELECT_CUDA(launch(write_kernel, 2, 32, 0, stream(), out, 39 - op));
    const auto values = read(out, 40);
    EXPECT_EQ(values[38 - op], 1);
    EXPECT_TRUE(std::isnan(values[39 - op])) << op;
  }
}

#if defined(__SANITIZE_ADDRESS__)
TEST_F(Host, AnIndexOutOfRangeStopsTheProcess) {
  float* out = floats(63);
  EXPECT_DEATH(
      {
        static_cast<void>(launch(write_kernel, 2, 32, 0, stream(), out, 64));
        cudaStreamSynchronize(stream());
      },
      "heap-buffer-overflow");
}
#endif

// Streams and graphs

TEST_F(Host, StreamsAreLazy) {
  float* out = floats(32);
  const PinnedMemory pinned = make_pinned_memory(32 * sizeof(float));
  const auto* host = static_cast<const float*>(pinned.get());
  FEDSELECT_CUDA(launch(write_kernel, 1, 32, 0, stream(), out, 32));
  FEDSELECT_CUDA(
      cudaMemcpyAsync(pinned.get(), out, 32 * sizeof(float), cudaMemcpyDeviceToHost, stream()));
  EXPECT_TRUE(std::isnan(host[0])) << "nobody has waited yet";
  FEDSELECT_CUDA(cudaStreamSynchronize(stream()));
  EXPECT_EQ(host[0], 1);
}

TEST_F(Host, UploadsReadPinnedMemoryLateAndOtherMemoryAtOnce) {
  float* device = floats(2);
  const PinnedMemory pinned = make_pinned_memory(sizeof(float));
  auto* late = static_cast<float*>(pinned.get());
  float early = 1;
  *late = 1;
  FEDSELECT_CUDA(cudaMemcpyAsync(device, late, 4, cudaMemcpyHostToDevice, stream()));
  FEDSELECT_CUDA(cudaMemcpyAsync(device + 1, &early, 4, cudaMemcpyHostToDevice, stream()));
  *late = early = 2;
  EXPECT_EQ(read(device, 2), (std::vector<float>{2, 1}));
}

__global__ void double_kernel(float* value) { *value *= 2; }

TEST_F(Host, EventsOrderStreams) {
  const Stream other = make_stream();
  const Event written = make_event();
  float* out = floats(1);
  FEDSELECT_CUDA(launch(write_kernel, 1, 1, 0, stream(), out, 1));
  FEDSELECT_CUDA(cudaEventRecord(written.get(), stream()));
  FEDSELECT_CUDA(cudaStreamWaitEvent(other.get(), written.get()));
  FEDSELECT_CUDA(launch(double_kernel, 1, 1, 0, other.get(), out));
  FEDSELECT_CUDA(cudaStreamSynchronize(other.get()));
  EXPECT_EQ(*out, 2);
}

TEST_F(Host, AGraphDoesItsWorkOnceALaunch) {
  float* out = floats(1);
  const Graph graph = capture(stream(), [&] {
    FEDSELECT_CUDA(launch(double_kernel, 1, 1, 0, stream(), out));
    EXPECT_EQ(cudaStreamSynchronize(stream()), cudaErrorStreamCaptureUnsupported);
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, 4), cudaErrorStreamCaptureUnsupported);
  });
  FEDSELECT_CUDA(launch(write_kernel, 1, 1, 0, stream(), out, 1));
  for (int i = 0; i < 3; ++i) FEDSELECT_CUDA(cudaGraphLaunch(graph.get(), stream()));
  EXPECT_EQ(read(out, 1)[0], 8);
}

TEST_F(Host, MemoryHasAnEnd) {
  std::size_t free = 0, total = 0;
  FEDSELECT_CUDA(cudaMemGetInfo(&free, &total));
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, free + 1), cudaErrorMemoryAllocation);
}

TEST_F(Host, WhichMemoryIsFullIsSaid) {
  const auto said = [](const auto& make) -> std::string {
    try {
      make(std::size_t{1} << 60);
    } catch (const SystemError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(said(make_device_memory).find("the GPU's memory is full"), std::string::npos);
  const std::string pinned = said(make_pinned_memory);
  EXPECT_NE(pinned.find("page-locked host memory"), std::string::npos) << pinned;
  EXPECT_EQ(pinned.find("the GPU's memory"), std::string::npos) << pinned;
}

// What kernels have in common

TEST(Divider, DividesAsTheProcessorDoes) {
  constexpr int kMost = std::numeric_limits<int>::max();
  std::vector<int> divisors(1000);
  std::iota(divisors.begin(), divisors.end(), 1);
  for (int bit = 10; bit < 31; ++bit)
    for (const int near : {-1, 0, 1}) divisors.push_back((1 << bit) + near);
  divisors.insert(divisors.end(), {46341, 715827883, kMost - 1, kMost});
  for (const int d : divisors) {
    const Divider divider(d);
    std::vector<int> dividends{0, 1, d - 1, d, kMost - 1, kMost};
    for (int multiple = 1; multiple < 2000; multiple *= 3) {
      const std::int64_t n = std::int64_t{d} * multiple;
      if (n < kMost)
        dividends.insert(dividends.end(),
                         {static_cast<int>(n) - 1, static_cast<int>(n), static_cast<int>(n) + 1});
    }
    dividends.push_back(kMost / d * d - 1);
    dividends.push_back(kMost / d * d);
    for (const int n : dividends) {
      ASSERT_EQ(divider.quotient(n), n / d) << n << " / " << d;
      ASSERT_EQ(divider.remainder(n), n % d) << n << " / " << d;
    }
  }
}

#if defined(__SANITIZE_ADDRESS__)
/// A fiber that ends in the middle of a function leaves marks on its stack.
TEST(Stack, LeavesNoMarksOnMemoryThatIsNoLongerItsOwn) {
  char* bottom = nullptr;
  {
    const host::Stack stack;
    bottom = stack.bottom();
    ASAN_POISON_MEMORY_REGION(bottom, 64);
  }
  EXPECT_EQ(__asan_region_is_poisoned(bottom, host::Stack::kSize), nullptr);
}
#endif

TEST(CountOf, RefusesWhatAnIntCantCount) {
  EXPECT_EQ(count_of({.clients = 2, .most = 10}, 5), 50);
  EXPECT_THROW(count_of({.clients = 1, .most = 2675}, 112 * 112 * 64), InputError);
}

}  // namespace
}  // namespace fedselect::cuda
