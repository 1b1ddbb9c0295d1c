// Sums over ranks, of integers in the memory of the ranks' GPUs, by NCCL and by MPI.

#include <gtest/gtest.h>

#include <vector>

#include "cuda_device.hpp"
#include "mpi_main.hpp"
#include "ops/device_array.hpp"

namespace fedselect {
namespace {

/// Rank r brings r + i at index i.
template <class T>
void expect_sum(ops::Ops& ops, DeviceSum& sums, std::size_t count) {
  Communicator& comm = testing::world();
  ops::DeviceArray<T> array(ops, 1, count);
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<T>(i) + static_cast<T>(comm.rank());
  array.upload(ops, 0, std::span<const T>(values));
  sums.all_reduce(std::span(array.of(0), count));
  array.download(ops, 0, std::span(values));
  const int ranks = comm.size();
  for (std::size_t i = 0; i < count; ++i)
    ASSERT_EQ(values[i],
              static_cast<T>(ranks) * static_cast<T>(i) + static_cast<T>(ranks * (ranks - 1) / 2));
}

TEST(DeviceSums, AddUpWhatTheRanksHave) {
  Communicator& comm = testing::world();
  const auto visible = cuda::visible_devices();
  if (visible.count < comm.size()) GTEST_SKIP() << "fewer GPUs than ranks";
  const auto ops = cuda::make_ops(comm.node_rank() % visible.count);
  for (const auto& sums : {cuda::make_nccl_sum(*ops, comm), cuda::make_mpi_sum(*ops, comm)})
    for (const std::size_t count : {1U, 33U, 3000000U}) {
      expect_sum<std::int64_t>(*ops, *sums, count);
      expect_sum<std::uint32_t>(*ops, *sums, count);
    }
}

}  // namespace
}  // namespace fedselect
