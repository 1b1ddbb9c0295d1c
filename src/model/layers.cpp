#include "model/layers.hpp"

namespace fedselect {

namespace {

using ops::ConstValues;
using ops::Group;
using ops::Ops;
using ops::Values;

class Conv final : public Layer {
 public:
  Conv(const ops::ConvShape& shape, const LayerTensors& tensors)
      : Layer(LayerForm::through, tensors), shape_(shape) {}
  void forward(Ops& ops, const Group& group, Values theta, Mode /*mode*/,
               const LayerBuffers& b) const override {
    ops.conv_forward(group, shape_, b.in, theta.at(tensors().weight), bias(theta), b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues theta, const LayerBuffers& b,
                Values d_out, Values d_in, Values gradient) const override {
    ops.conv_backward(group, shape_, b.in, theta.at(tensors().weight), d_out, d_in,
                      gradient.at(tensors().weight), bias(gradient));
  }

 private:
  Values bias(Values vector) const {
    return tensors().count > 1 ? vector.at(tensors().bias) : Values{};
  }

  ops::ConvShape shape_;
};

class Linear final : public Layer {
 public:
  Linear(const ops::LinearShape& shape, const LayerTensors& tensors)
      : Layer(LayerForm::through, tensors), shape_(shape) {}
  void forward(Ops& ops, const Group& group, Values theta, Mode /*mode*/,
               const LayerBuffers& b) const override {
    ops.linear_forward(group, shape_, b.in, theta.at(tensors().weight), theta.at(tensors().bias),
                       b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues theta, const LayerBuffers& b,
                Values d_out, Values d_in, Values gradient) const override {
    ops.linear_backward(group, shape_, b.in, theta.at(tensors().weight), d_out, d_in,
                        gradient.at(tensors().weight), gradient.at(tensors().bias));
  }

 private:
  ops::LinearShape shape_;
};

class BatchNorm final : public Layer {
 public:
  BatchNorm(const ops::BatchNormShape& shape, const LayerTensors& tensors)
      : Layer(LayerForm::through, tensors), shape_(shape) {}
  std::size_t kept_size(std::size_t /*samples*/) const override {
    return 2 * static_cast<std::size_t>(shape_.in.channels);
  }
  void forward(Ops& ops, const Group& group, Values theta, Mode mode,
               const LayerBuffers& b) const override {
    const Values weight = theta.at(tensors().weight);
    const Values bias = theta.at(tensors().bias);
    const Values mean = theta.at(tensors().running_mean);
    const Values variance = theta.at(tensors().running_variance);
    if (mode == Mode::training)
      ops.batch_norm_train(group, shape_, b.in, weight, bias, mean, variance, b.out, b.kept);
    else
      ops.batch_norm_evaluate(group, shape_, b.in, weight, bias, mean, variance, b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues theta, const LayerBuffers& b,
                Values d_out, Values d_in, Values gradient) const override {
    ops.batch_norm_backward(group, shape_, b.in, theta.at(tensors().weight), b.kept, d_out, d_in,
                            gradient.at(tensors().weight), gradient.at(tensors().bias));
  }

 private:
  ops::BatchNormShape shape_;
};

class GroupNorm final : public Layer {
 public:
  GroupNorm(const ops::GroupNormShape& shape, const LayerTensors& tensors)
      : Layer(LayerForm::through, tensors), shape_(shape) {}
  std::size_t kept_size(std::size_t samples) const override {
    return 2 * samples * static_cast<std::size_t>(shape_.groups);
  }
  void forward(Ops& ops, const Group& group, Values theta, Mode /*mode*/,
               const LayerBuffers& b) const override {
    ops.group_norm_forward(group, shape_, b.in, theta.at(tensors().weight),
                           theta.at(tensors().bias), b.out, b.kept);
  }
  void backward(Ops& ops, const Group& group, ConstValues theta, const LayerBuffers& b,
                Values d_out, Values d_in, Values gradient) const override {
    ops.group_norm_backward(group, shape_, b.in, theta.at(tensors().weight), b.kept, d_out, d_in,
                            gradient.at(tensors().weight), gradient.at(tensors().bias));
  }

 private:
  ops::GroupNormShape shape_;
};

class MaxPool final : public Layer {
 public:
  explicit MaxPool(const ops::PoolShape& shape) : Layer(LayerForm::through), shape_(shape) {}
  bool needs_marks() const override { return true; }
  void forward(Ops& ops, const Group& group, Values /*theta*/, Mode /*mode*/,
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

class MeanPool final : public Layer {
 public:
  explicit MeanPool(const ops::ImageShape& shape) : Layer(LayerForm::through), shape_(shape) {}
  void forward(Ops& ops, const Group& group, Values /*theta*/, Mode /*mode*/,
               const LayerBuffers& b) const override {
    ops.mean_pool_forward(group, shape_, b.in, b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues /*theta*/, const LayerBuffers& /*b*/,
                Values d_out, Values d_in, Values /*gradient*/) const override {
    if (d_in) ops.mean_pool_backward(group, shape_, d_out, d_in);
  }

 private:
  ops::ImageShape shape_;
};

class Relu final : public Layer {
 public:
  explicit Relu(std::size_t size) : Layer(LayerForm::in_place), size_(size) {}
  void forward(Ops& ops, const Group& group, Values /*theta*/, Mode /*mode*/,
               const LayerBuffers& b) const override {
    ops.relu_forward(group, size_, b.out);
  }
  void backward(Ops& ops, const Group& group, ConstValues /*theta*/, const LayerBuffers& b,
                Values d_out, Values /*d_in*/, Values /*gradient*/) const override {
    ops.relu_backward(group, size_, b.out, d_out);
  }

 private:
  std::size_t size_;
};

class Flatten final : public Layer {
 public:
  explicit Flatten(const ops::ImageShape& shape) : Layer(LayerForm::through), shape_(shape) {}
  void forward(Ops& ops, const Group& group, Values /*theta*/, Mode /*mode*/,
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

class Join final : public Layer {
 public:
  explicit Join(std::size_t size) : Layer(LayerForm::joining), size_(size) {}
  void forward(Ops& ops, const Group& group, Values /*theta*/, Mode /*mode*/,
               const LayerBuffers& b) const override {
    ops.add(group, size_, b.in, b.out);
  }
  void backward(Ops& /*ops*/, const Group& /*group*/, ConstValues /*theta*/,
                const LayerBuffers& /*b*/, Values /*d_out*/, Values /*d_in*/,
                Values /*gradient*/) const override {}

 private:
  std::size_t size_;
};

}  // namespace

std::unique_ptr<Layer> make_conv(const ops::ConvShape& shape, const LayerTensors& tensors) {
  return std::make_unique<Conv>(shape, tensors);
}
std::unique_ptr<Layer> make_linear(const ops::LinearShape& shape, const LayerTensors& tensors) {
  return std::make_unique<Linear>(shape, tensors);
}
std::unique_ptr<Layer> make_batch_norm(const ops::BatchNormShape& shape,
                                       const LayerTensors& tensors) {
  return std::make_unique<BatchNorm>(shape, tensors);
}
std::unique_ptr<Layer> make_group_norm(const ops::GroupNormShape& shape,
                                       const LayerTensors& tensors) {
  return std::make_unique<GroupNorm>(shape, tensors);
}
std::unique_ptr<Layer> make_max_pool(const ops::PoolShape& shape) {
  return std::make_unique<MaxPool>(shape);
}
std::unique_ptr<Layer> make_mean_pool(const ops::ImageShape& shape) {
  return std::make_unique<MeanPool>(shape);
}
std::unique_ptr<Layer> make_relu(std::size_t size) { return std::make_unique<Relu>(size); }
std::unique_ptr<Layer> make_flatten(const ops::ImageShape& shape) {
  return std::make_unique<Flatten>(shape);
}
std::unique_ptr<Layer> make_join(std::size_t size) { return std::make_unique<Join>(size); }

}  // namespace fedselect
