#pragma once

#include <cstddef>

/// What one core of this machine can do at most: the limits that benchmarks compare with.
/// Each call measures for some tenths of a second and returns the best of several runs.
namespace fedselect::bench {

/// More than any last-level cache that one core fills.
inline constexpr std::size_t kBeyondCaches = std::size_t{256} << 20;

/// Single precision, two operations a fused multiply-add, at the widest vectors this processor has;
/// 0 where it has none.
double fma_peak_gflops();
/// GB/s that one core reads from an array of `bytes` bytes, again and again: of memory, or of a
/// cache that holds it.
double read_bandwidth_gbs(std::size_t bytes = kBeyondCaches);
/// GB/s read plus written by memcpy.
double copy_bandwidth_gbs(std::size_t bytes = kBeyondCaches);
/// GB/s read plus written by y += x, the pattern of an optimizer: two arrays of `bytes` bytes read,
/// one written.
double update_bandwidth_gbs(std::size_t bytes = kBeyondCaches);

}  // namespace fedselect::bench
