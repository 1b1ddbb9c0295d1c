#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "model/layers.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// How a tensor's values begin.
struct TensorStart {
  enum class Law {
    uniform,   ///< in [-scale, scale)
    normal,    ///< mean 0, deviation scale
    constant,  ///< all scale
  };
  Law law = Law::constant;
  double scale = 0;
};

/// A network as data: values (the image is number 0), steps that make them from one another in the
/// order of a forward pass, tensors and their beginnings.
///
/// A joining step adds a value to the one before it, which was made by the steps between; so at a
/// join all other readers of both are done in the backward direction.
struct NetworkGraph {
  struct Step {
    std::unique_ptr<Layer> layer;
    std::size_t in;   ///< value read
    std::size_t out;  ///< value written; the same one in place
  };

  ParameterLayout layout;
  std::vector<TensorStart> starts;            ///< one an entry of layout.tensors()
  std::vector<TensorStart> statistic_starts;  ///< one an entry of layout.statistics()
  std::vector<Step> steps;
  std::vector<std::size_t> value_sizes;  ///< floats a sample; the last value holds the logits
  double forward_flops = 0;              ///< see Network
  double training_flops = 0;
};

}  // namespace fedselect
