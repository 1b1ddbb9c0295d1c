#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "comm/communicator.hpp"

namespace fedselect {

/// Adds up arrays in the memory of the ranks' devices. Sums of integers: the order of ranks can't
/// matter, so all ways of doing it give the same bits.
class DeviceSum {
 public:
  virtual ~DeviceSum() = default;
  DeviceSum() = default;
  DeviceSum(const DeviceSum&) = delete;
  DeviceSum& operator=(const DeviceSum&) = delete;

  /// Collective, in place: element-wise sum over ranks, after what the device was given to do
  /// before and before what it is given to do next.
  virtual void all_reduce(std::span<std::int64_t> device) = 0;
  virtual void all_reduce(std::span<std::uint32_t> device) = 0;
  /// In words, for the log: "MPI", "NCCL 2.28.3".
  virtual std::string name() const = 0;
};

/// For devices whose memory is the host's: the communicator's own sums.
std::unique_ptr<DeviceSum> make_host_sum(Communicator& comm);

}  // namespace fedselect
