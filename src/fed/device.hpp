#pragma once

#include <cstddef>

#include "comm/device_sum.hpp"
#include "ops/ops.hpp"

namespace fedselect {

/// What a rank computes on. Everything referenced must outlive its user.
struct Device {
  ops::Ops& ops;
  DeviceSum& sums;
  int group = 1;           ///< clients trained side by side; 0: as many as `memory` holds
  std::size_t memory = 0;  ///< bytes that this rank may take; 0: whatever it needs
};

}  // namespace fedselect
