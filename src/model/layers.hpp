#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "model/parameter_layout.hpp"
#include "ops/ops.hpp"

namespace fedselect {

/// What a layer reads and writes in one step, for all clients of the group.
struct LayerBuffers {
  ops::Values in;                    ///< what the layer before left
  ops::Values out;                   ///< null for a layer that works in place
  ops::Grouped<std::uint8_t> marks;  ///< a byte an output value, for layers that ask for it
};

/// One step of a network, forward and backward, over the op set. A layer holds shapes and offsets,
/// no values.
///
/// Gradients flow in place of activations where a layer works in place: `out` of such a layer is
/// its `in`.
class Layer {
 public:
  virtual ~Layer() = default;

  virtual std::size_t in_size() const = 0;   ///< values a sample
  virtual std::size_t out_size() const = 0;  ///< values a sample
  virtual bool in_place() const { return false; }
  virtual bool needs_marks() const { return false; }
  /// Tensors of this layer in the layout: [first, first + count). 0 for layers without parameters.
  virtual std::size_t first_tensor() const { return 0; }
  virtual std::size_t tensor_count() const { return 0; }

  /// Writes b.out (or changes b.in in place). theta: each client's parameter vector.
  virtual void forward(ops::Ops& ops, const ops::Group& group, ops::ConstValues theta,
                       const LayerBuffers& b) const = 0;
  /// From the gradient of the loss by the output, d_out, writes that by the input, d_in (null: not
  /// wanted), and by the layer's own tensors into `gradient` (null: not wanted). In-place layers
  /// change d_out and ignore d_in.
  virtual void backward(ops::Ops& ops, const ops::Group& group, ops::ConstValues theta,
                        const LayerBuffers& b, ops::Values d_out, ops::Values d_in,
                        ops::Values gradient) const = 0;
};

/// Convolution, square, with bias. Its tensors are weight, then bias, from `first` on.
std::unique_ptr<Layer> make_conv(const ops::ConvShape& shape, const ParameterLayout& layout,
                                 std::size_t first);
/// Fully connected layer with bias. Its tensors are weight, then bias, from `first` on.
std::unique_ptr<Layer> make_linear(const ops::LinearShape& shape, const ParameterLayout& layout,
                                   std::size_t first);
/// Maximum over windows.
std::unique_ptr<Layer> make_max_pool(const ops::PoolShape& shape);
/// max(x, 0), in place.
std::unique_ptr<Layer> make_relu(std::size_t size);
/// Image to vector, in PyTorch's order: channel, row, column.
std::unique_ptr<Layer> make_flatten(const ops::ImageShape& shape);

}  // namespace fedselect
