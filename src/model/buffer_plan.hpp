#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "model/network_graph.hpp"

namespace fedselect {

/// When an array is in use, by the clock of a pass over a network's steps, and its floats.
struct Lifetime {
  std::size_t first = 0, last = 0;  ///< both included
  std::size_t size = 0;
};

/// Where arrays lie in one piece of memory, in floats; each begins a cache line.
struct MemoryPlan {
  std::vector<std::size_t> offsets;
  std::size_t size = 0;
};

/// Arrays that are in use at the same time don't overlap; others may. First fit, in the order
/// given.
MemoryPlan plan_memory(std::span<const Lifetime> arrays);

/// The values of a forward pass. `kept`: all stay until its end, for a backward pass; else each
/// only as long as a step reads it. The image always lies at offset 0.
MemoryPlan plan_values(const NetworkGraph& graph, std::size_t samples, bool kept);

/// Which gradients by values a backward pass moves where. A gradient that only passes through a
/// join serves both branches without a copy.
struct BackwardPlan {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  /// What a step's backward function reads and writes: numbers of gradients.
  struct Step {
    std::size_t d_out = kNone;
    std::size_t d_in = kNone;    ///< none: the image, or not `through`
    std::size_t add_to = kNone;  ///< the gradient to which d_in is added, from an earlier reader
  };

  std::vector<Step> steps;  ///< one a step of the graph
  std::size_t loss = 0;     ///< the gradient by the logits
  MemoryPlan memory;        ///< one offset a gradient
};

BackwardPlan plan_backward(const NetworkGraph& graph, std::size_t samples);

}  // namespace fedselect
