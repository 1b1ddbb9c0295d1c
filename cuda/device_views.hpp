#pragma once

#include <cstddef>

#include "ops/ops.hpp"

/// What ops hand to kernels: host numbers that are on the device.
namespace fedselect::cuda {

/// A group as kernels see it. Kernels have one row of blocks (blockIdx.y) for each client.
struct DeviceGroup {
  int clients = 0;
  int most = 0;                  ///< samples of the client that brings most; 0: nothing to do
  const int* samples = nullptr;  ///< device: one number a client
};

/// How many values the group's largest batch has, `per_sample` each, for kernels that count in
/// ints. Throws InputError if they are too many.
int count_of(const DeviceGroup& group, std::size_t per_sample);

/// Ranges of a parameter vector as kernels see them: cut into chunks of kChunk indices, one block
/// each.
struct DeviceRanges {
  const ops::Range* ranges = nullptr;
  const unsigned* first_chunk = nullptr;  ///< count + 1 of them
  int count = 0;
  unsigned chunks = 0;
};
inline constexpr int kChunk = 4096;

}  // namespace fedselect::cuda
