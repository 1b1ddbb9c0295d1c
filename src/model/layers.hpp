#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ops/ops.hpp"

namespace fedselect {

/// What a forward pass is for.
enum class Mode {
  training,    ///< batch norm takes the batch's statistics and moves the running ones
  evaluation,  ///< batch norm takes the running statistics; theta is only read
};

/// What a layer reads and writes in one step, for all clients of the group.
struct LayerBuffers {
  ops::Values in;                    ///< what the layer before left
  ops::Values out;                   ///< `in` for a layer that works in place
  ops::Grouped<std::uint8_t> marks;  ///< a byte an output value, for layers that ask for it
  ops::Values kept;                  ///< what forward leaves for backward besides values
};

/// Where a layer's tensors stand: numbers in the layout's tensors(), offsets in the vector.
struct LayerTensors {
  std::size_t first = 0;  ///< number of the weight; a bias has the next one
  std::size_t count = 0;
  std::size_t weight = 0;  ///< offsets, in values
  std::size_t bias = 0;
  std::size_t running_mean = 0;  ///< of batch norm
  std::size_t running_variance = 0;
};

/// How a layer's input and output lie.
enum class LayerForm {
  through,   ///< reads `in`, writes `out`
  in_place,  ///< changes `out`, which is also its `in`
  joining,   ///< out += in: changes `out` and reads `in`; the gradient by both is that by `out`
};

/// One step of a network, forward and backward, over the op set. A layer holds shapes and offsets,
/// no values.
class Layer {
 public:
  explicit Layer(LayerForm form, const LayerTensors& tensors = {})
      : form_(form), tensors_(tensors) {}
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  LayerForm form() const { return form_; }
  const LayerTensors& tensors() const { return tensors_; }
  virtual bool needs_marks() const { return false; }
  /// Floats of LayerBuffers::kept for a batch.
  virtual std::size_t kept_size(std::size_t /*samples*/) const { return 0; }

  /// Writes b.out. theta: each client's parameter vector; written only to the running statistics,
  /// only in training.
  virtual void forward(ops::Ops& ops, const ops::Group& group, ops::Values theta, Mode mode,
                       const LayerBuffers& b) const = 0;
  /// After forward() in training. From the gradient of the loss by the output, d_out, writes that
  /// by the input, d_in (null: not wanted), and by the layer's own tensors into `gradient` (null:
  /// not wanted). A layer in place changes d_out; that and a joining one ignore d_in.
  virtual void backward(ops::Ops& ops, const ops::Group& group, ops::ConstValues theta,
                        const LayerBuffers& b, ops::Values d_out, ops::Values d_in,
                        ops::Values gradient) const = 0;

 private:
  LayerForm form_;
  LayerTensors tensors_;
};

/// Convolution, square. With a bias if it has two tensors.
std::unique_ptr<Layer> make_conv(const ops::ConvShape& shape, const LayerTensors& tensors);
/// Fully connected layer with bias.
std::unique_ptr<Layer> make_linear(const ops::LinearShape& shape, const LayerTensors& tensors);
/// torch.nn.BatchNorm2d.
std::unique_ptr<Layer> make_batch_norm(const ops::BatchNormShape& shape,
                                       const LayerTensors& tensors);
/// torch.nn.GroupNorm.
std::unique_ptr<Layer> make_group_norm(const ops::GroupNormShape& shape,
                                       const LayerTensors& tensors);
/// Maximum over windows.
std::unique_ptr<Layer> make_max_pool(const ops::PoolShape& shape);
/// Mean over all pixels.
std::unique_ptr<Layer> make_mean_pool(const ops::ImageShape& shape);
/// max(x, 0), in place.
std::unique_ptr<Layer> make_relu(std::size_t size);
/// Image to vector, in PyTorch's order: channel, row, column.
std::unique_ptr<Layer> make_flatten(const ops::ImageShape& shape);
/// Sum of two branches.
std::unique_ptr<Layer> make_join(std::size_t size);

}  // namespace fedselect
