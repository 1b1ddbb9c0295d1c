#include "model/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"
#include "base/random.hpp"

namespace fedselect {

void describe(ModelConfig& config, Fields& fields) {
  fields.choice("name", config.name, kModelNames, "the network that every client trains");
  fields.applies(config.name == ModelKind::mlp, "hidden",
                 "only mlp has a hidden layer to size: remove it, or set name = \"mlp\"");
  fields.integer("hidden", config.hidden, kCount, "width of mlp's hidden layer");
}

Network::Network(const ModelConfig& config, const ops::ImageShape& image, int classes)
    : image_(image), classes_(classes) {
  if (config.name != ModelKind::cnn) {
    const int in = static_cast<int>(image.size());
    const int hidden = static_cast<int>(config.hidden);
    if (image.channels > 1) layers_.push_back(make_flatten(image));
    if (config.name == ModelKind::logistic) {
      add_linear("fc", {in, classes});
      return;
    }
    add_linear("fc1", {in, hidden});
    layers_.push_back(make_relu(static_cast<std::size_t>(hidden)));
    add_linear("fc2", {hidden, classes});
    return;
  }
  constexpr int kSmallestSide = 4;
  constexpr int kFeatures = 512;
  if (image.height < kSmallestSide || image.width < kSmallestSide)
    throw KeyError(
        "model.name",
        fmt::format(
            "model.name = \"cnn\" needs images of at least {0} x {0} pixels, these have {1} "
            "x {2}: choose model.name = \"mlp\"",
            kSmallestSide, image.height, image.width));
  ops::ImageShape shape = image;
  const auto block = [&](const char* name, int channels) {
    const ops::ConvShape conv{shape, channels, 5, 1, 2};
    add_conv(name, conv);
    const ops::PoolShape pool{conv.out(), 2};
    layers_.push_back(make_max_pool(pool));
    layers_.push_back(make_relu(pool.out().size()));
    shape = pool.out();
  };
  block("conv1", 32);
  block("conv2", 64);
  layers_.push_back(make_flatten(shape));
  add_linear("fc1", {static_cast<int>(shape.size()), kFeatures});
  layers_.push_back(make_relu(kFeatures));
  add_linear("fc2", {kFeatures, classes});
}

void Network::add_conv(const char* name, ops::ConvShape shape) {
  const std::size_t first = layout_.tensors().size();
  const int layer = layout_.layers();
  layout_.add(std::string(name) + ".weight",
              {shape.out_channels, shape.in.channels, shape.kernel, shape.kernel},
              TensorKind::weight, layer);
  layout_.add(std::string(name) + ".bias", {shape.out_channels}, TensorKind::bias, layer);
  layers_.push_back(make_conv(shape, layout_, first));
  const ops::ImageShape out = shape.out();
  count_flops(static_cast<double>(out.height) * out.width * static_cast<double>(shape.weights()));
}

void Network::add_linear(const char* name, ops::LinearShape shape) {
  const std::size_t first = layout_.tensors().size();
  const int layer = layout_.layers();
  layout_.add(std::string(name) + ".weight", {shape.out, shape.in}, TensorKind::weight, layer);
  layout_.add(std::string(name) + ".bias", {shape.out}, TensorKind::bias, layer);
  layers_.push_back(make_linear(shape, layout_, first));
  count_flops(static_cast<double>(shape.in) * shape.out);
}

void Network::count_flops(double products) {
  const bool first = forward_flops_ == 0;
  forward_flops_ += 2 * products;
  training_flops_ += (first ? 4 : 6) * products;
}

AlignedVector<float> Network::initial_parameters(std::uint64_t seed) const {
  AlignedVector<float> theta(layout_.padded_size(), 0.0F);
  std::size_t fan_in = 1;
  for (std::size_t i = 0; i < layout_.tensors().size(); ++i) {
    const Tensor& tensor = layout_.tensors()[i];
    // A bias follows its weight and takes the weight's fan in.
    if (tensor.kind == TensorKind::weight)
      fan_in = tensor.size() / static_cast<std::size_t>(tensor.shape.front());
    const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
    RandomStream random(seed, Purpose::initial_weights, static_cast<std::uint32_t>(i));
    for (std::size_t j = 0; j < tensor.size(); ++j)
      theta[tensor.range.begin + j] = static_cast<float>((2 * random.uniform() - 1) * bound);
  }
  return theta;
}

Activations::Activations(ops::Ops& ops, const Network& network, int clients, int train_batch,
                         int test_batch)
    : ops_(ops), network_(network) {
  const auto train = static_cast<std::size_t>(train_batch);
  const auto batch = std::max(train, static_cast<std::size_t>(test_batch));
  values_.emplace_back(ops, clients, batch * network.image().size());
  std::size_t widest = 0;
  for (const auto& layer : network.layers()) {
    value_of_.push_back(values_.size() - 1);
    if (!layer->in_place()) values_.emplace_back(ops, clients, batch * layer->out_size());
    marks_.push_back(layer->needs_marks()
                         ? ops::DeviceArray<std::uint8_t>(ops, clients, batch * layer->out_size())
                         : ops::DeviceArray<std::uint8_t>());
    widest = std::max(widest, layer->out_size());
  }
  value_of_.push_back(values_.size() - 1);
  labels_ = {ops, clients, batch};
  for (auto& flow : flow_) flow = {ops, clients, train * widest};
}

LayerBuffers Activations::buffers(std::size_t layer) const {
  return {values_[value_of_[layer]].view(), values_[value_of_[layer + 1]].view(),
          marks_[layer].view()};
}

void Activations::forward(const ops::Group& group, ops::ConstValues theta) {
  for (std::size_t i = 0; i < network_.layers().size(); ++i)
    network_.layers()[i]->forward(ops_, group, theta, buffers(i));
}

void Activations::measure(const ops::Group& group, std::span<double> loss,
                          std::span<std::int32_t> correct) {
  ops_.cross_entropy(group, network_.classes(), logits(), labels_.view(), {}, loss, correct);
}

void Activations::backward(const ops::Group& group, ops::ConstValues theta,
                           std::span<const char> wanted, ops::Values gradient,
                           std::span<double> loss, std::span<std::int32_t> correct) {
  const auto& layers = network_.layers();
  const auto trains = [&](std::size_t i) {
    const auto flags = wanted.subspan(layers[i]->first_tensor(), layers[i]->tensor_count());
    return std::any_of(flags.begin(), flags.end(), [](char flag) { return flag != 0; });
  };
  std::size_t lowest = 0;
  while (lowest + 1 < layers.size() && !trains(lowest)) ++lowest;

  ops::Values d_out = flow_[0].view();
  ops::Values d_in = flow_[1].view();
  ops_.cross_entropy(group, network_.classes(), logits(), labels_.view(), d_out, loss, correct);
  for (std::size_t i = layers.size(); i-- > lowest;) {
    layers[i]->backward(ops_, group, theta, buffers(i), d_out, i == lowest ? ops::Values{} : d_in,
                        trains(i) ? gradient : ops::Values{});
    if (!layers[i]->in_place()) std::swap(d_out, d_in);
  }
}

}  // namespace fedselect
