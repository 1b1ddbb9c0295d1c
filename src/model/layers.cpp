#include "model/layers.hpp"

namespace fedselect {

namespace {

using ops::ConstValues;
using ops::Group;
using ops::Ops;
using ops::Values;

/// A layer with a weight and a bias, one behind the other in the layout.
template <class Shape>
class WeightedLayer : public Layer {
 public:
  WeightedLayer(const Shape& shape, const ParameterLayout& layout, std::size_t first)
      : shape_(shape),
        first_(first),
        weight_(layout.ranges()[first].begin),
        bias_(layout.ranges()[first + 1].begin) {}

  std::size_t first_tensor() const override { return first_; }
  std::size_t tensor_count() const override { return 2; }

 protected:
  const Shape& shape() const { return shape_; }
  template <class V>
  V weight(V vector) const {
    return vector.at(weight_);
  }
  template <class V>
  V bias(V vector) const {
    return vector.at(bias_);
  }

 private:
  Shape shape_;
  std::size_t first_;
  std::size_t weight_;
  std::size_t bias_;
};

class Conv final : public WeightedLayer<ops::ConvShape> {
 public:
  using WeightedLayer::WeightedLayer;
  std::size_t in_size() const override { return shape().in.size(); }
  std::size_t out_size() const override { return shape().out().size(); }
  void forward(Ops& ops, const Group& group, ConstValues theta,
               const LayerBuffers& b) const override {
    ops.conv_forward(group, shape(), b.in, weight(theta), bias(theta), b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues theta, const LayerBuffers& b,
                Values d_out, Values d_in, Values gradient) const override {
    ops.conv_backward(group, shape(), b.in, weight(theta), d_out, d_in, weight(gradient),
                      bias(gradient));
  }
};

class Linear final : public WeightedLayer<ops::LinearShape> {
 public:
  using WeightedLayer::WeightedLayer;
  std::size_t in_size() const override { return static_cast<std::size_t>(shape().in); }
  std::size_t out_size() const override { return static_cast<std::size_t>(shape().out); }
  void forward(Ops& ops, const Group& group, ConstValues theta,
               const LayerBuffers& b) const override {
    ops.linear_forward(group, shape(), b.in, weight(theta), bias(theta), b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues theta, const LayerBuffers& b,
                Values d_out, Values d_in, Values gradient) const override {
    ops.linear_backward(group, shape(), b.in, weight(theta), d_out, d_in, weight(gradient),
                        bias(gradient));
  }
};

class MaxPool final : public Layer {
 public:
  explicit MaxPool(const ops::PoolShape& shape) : shape_(shape) {}
  std::size_t in_size() const override { return shape_.in.size(); }
  std::size_t out_size() const override { return shape_.out().size(); }
  bool needs_marks() const override { return true; }
  void forward(Ops& ops, const Group& group, ConstValues /*theta*/,
               const LayerBuffers& b) const override {
    ops.max_pool_forward(group, shape_, b.in, b.out, b.marks);
  }
  void backward(Ops& ops, const Group& group, ConstValues /*theta*/, const LayerBuffers& b,
                Values d_out, Values d_in, Values /*gradient*/) const override {
    if (d_in) ops.max_pool_backward(group, shape_, d_out, b.marks, d_in);
  }

 private:
  ops::PoolShape shape_;
};

class Relu final : public Layer {
 public:
  explicit Relu(std::size_t size) : size_(size) {}
  std::size_t in_size() const override { return size_; }
  std::size_t out_size() const override { return size_; }
  bool in_place() const override { return true; }
  void forward(Ops& ops, const Group& group, ConstValues /*theta*/,
               const LayerBuffers& b) const override {
    ops.relu_forward(group, size_, b.in);
  }
  void backward(Ops& ops, const Group& group, ConstValues /*theta*/, const LayerBuffers& b,
                Values d_out, Values /*d_in*/, Values /*gradient*/) const override {
    ops.relu_backward(group, size_, b.in, d_out);
  }

 private:
  std::size_t size_;
};

class Flatten final : public Layer {
 public:
  explicit Flatten(const ops::ImageShape& shape) : shape_(shape) {}
  std::size_t in_size() const override { return shape_.size(); }
  std::size_t out_size() const override { return shape_.size(); }
  void forward(Ops& ops, const Group& group, ConstValues /*theta*/,
               const LayerBuffers& b) const override {
    ops.channels_first(group, shape_, b.in, b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues /*theta*/, const LayerBuffers& /*b*/,
                Values d_out, Values d_in, Values /*gradient*/) const override {
    if (d_in) ops.channels_last(group, shape_, d_out, d_in);
  }

 private:
  ops::ImageShape shape_;
};

}  // namespace

std::unique_ptr<Layer> make_conv(const ops::ConvShape& shape, const ParameterLayout& layout,
                                 std::size_t first) {
  return std::make_unique<Conv>(shape, layout, first);
}
std::unique_ptr<Layer> make_linear(const ops::LinearShape& shape, const ParameterLayout& layout,
                                   std::size_t first) {
  return std::make_unique<Linear>(shape, layout, first);
}
std::unique_ptr<Layer> make_max_pool(const ops::PoolShape& shape) {
  return std::make_unique<MaxPool>(shape);
}
std::unique_ptr<Layer> make_relu(std::size_t size) { return std::make_unique<Relu>(size); }
std::unique_ptr<Layer> make_flatten(const ops::ImageShape& shape) {
  return std::make_unique<Flatten>(shape);
}

}  // namespace fedselect
