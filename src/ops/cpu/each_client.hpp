#pragma once

#include <cstddef>

#include "ops/ops.hpp"

/// How the CPU's layer ops go through a group.
namespace fedselect::ops::cpu {

inline std::ptrdiff_t total(std::size_t size, int samples) {
  return static_cast<std::ptrdiff_t>(size) * samples;
}

/// Calls act(g, samples) for the clients that take part.
template <class Act>
void for_each_client(const Group& group, Act&& act) {
  for (int g = 0; g < group.size(); ++g) {
    const int samples = group.samples[static_cast<std::size_t>(g)];
    if (samples > 0) act(g, samples);
  }
}

/// Client g's array, or null if the op was given none.
template <class T>
T* pointer(const Grouped<T>& values, int g) {
  return values ? values[g] : nullptr;
}

}  // namespace fedselect::ops::cpu
