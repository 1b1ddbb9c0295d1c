#include "model/network_builder.hpp"

#include <cmath>
#include <utility>

namespace fedselect {

namespace {

using Law = TensorStart::Law;

TensorStart uniform_by(double fan_in) { return {Law::uniform, 1 / std::sqrt(fan_in)}; }

}  // namespace

NetworkBuilder::NetworkBuilder(const ops::ImageShape& image) : image_(image) {
  graph_.value_sizes.push_back(image.size());
}

void NetworkBuilder::tensor(const std::string& name, std::vector<int> shape, TensorKind kind,
                            TensorStart start, bool norm) {
  if (kind == TensorKind::weight) ++layer_;  // each layer's first tensor is its weight
  graph_.layout.add(name, std::move(shape), kind, layer_, norm);
  (kind == TensorKind::statistic ? graph_.statistic_starts : graph_.starts).push_back(start);
}

void NetworkBuilder::norm_tensors(const std::string& name, int channels) {
  tensor(name + ".weight", {channels}, TensorKind::weight, {Law::constant, 1}, true);
  tensor(name + ".bias", {channels}, TensorKind::bias, {Law::constant, 0}, true);
}

NetworkBuilder::Value NetworkBuilder::step(const Value& in, const ops::ImageShape& out,
                                           MakeLayer make) {
  const Value made{graph_.value_sizes.size(), out};
  graph_.value_sizes.push_back(out.size());
  return step_in_place(in, made, std::move(make));
}

NetworkBuilder::Value NetworkBuilder::step_in_place(const Value& in, const Value& out,
                                                    MakeLayer make) {
  const std::size_t tensors = graph_.layout.tensors().size();
  const std::size_t statistics = graph_.layout.statistics().size();
  graph_.steps.push_back({nullptr, in.id, out.id});
  pending_.push_back({std::move(make), noted_tensors_, tensors - noted_tensors_, noted_statistics_,
                      statistics - noted_statistics_});
  noted_tensors_ = tensors;
  noted_statistics_ = statistics;
  return out;
}

void NetworkBuilder::count_products(double products) {
  const bool first = graph_.forward_flops == 0;
  graph_.forward_flops += 2 * products;
  graph_.training_flops += (first ? 4 : 6) * products;
}

NetworkBuilder::Value NetworkBuilder::any_conv(const std::string& name, const Value& in,
                                               const ConvForm& form, bool bias, TensorStart start) {
  const ops::ConvShape shape{in.shape, form.channels, form.kernel, form.stride, form.padding};
  tensor(name + ".weight", {form.channels, in.shape.channels, form.kernel, form.kernel},
         TensorKind::weight, start);
  if (bias) tensor(name + ".bias", {form.channels}, TensorKind::bias, start);
  const ops::ImageShape out = shape.out();
  count_products(static_cast<double>(out.height) * out.width *
                 static_cast<double>(shape.weights()));
  return step(in, out, [shape](const LayerTensors& tensors) { return make_conv(shape, tensors); });
}

NetworkBuilder::Value NetworkBuilder::conv(const std::string& name, const Value& in,
                                           const ConvForm& form) {
  return any_conv(name, in, form, true,
                  uniform_by(static_cast<double>(in.shape.channels) * form.kernel * form.kernel));
}

NetworkBuilder::Value NetworkBuilder::plain_conv(const std::string& name, const Value& in,
                                                 const ConvForm& form) {
  const double fan_out = static_cast<double>(form.channels) * form.kernel * form.kernel;
  return any_conv(name, in, form, false, {Law::normal, std::sqrt(2 / fan_out)});
}

NetworkBuilder::Value NetworkBuilder::linear(const std::string& name, const Value& in, int out) {
  const ops::LinearShape shape{static_cast<int>(in.shape.size()), out};
  const TensorStart start = uniform_by(shape.in);
  tensor(name + ".weight", {out, shape.in}, TensorKind::weight, start);
  tensor(name + ".bias", {out}, TensorKind::bias, start);
  count_products(static_cast<double>(shape.in) * out);
  return step(in, {1, 1, out},
              [shape](const LayerTensors& tensors) { return make_linear(shape, tensors); });
}

NetworkBuilder::Value NetworkBuilder::batch_norm(const std::string& name, const Value& in) {
  const int channels = in.shape.channels;
  norm_tensors(name, channels);
  tensor(name + ".running_mean", {channels}, TensorKind::statistic, {Law::constant, 0}, true);
  tensor(name + ".running_var", {channels}, TensorKind::statistic, {Law::constant, 1}, true);
  return step(in, in.shape, [shape = ops::BatchNormShape{in.shape}](const LayerTensors& tensors) {
    return make_batch_norm(shape, tensors);
  });
}

NetworkBuilder::Value NetworkBuilder::group_norm(const std::string& name, const Value& in,
                                                 int groups) {
  norm_tensors(name, in.shape.channels);
  const ops::GroupNormShape shape{in.shape, groups};
  return step(in, in.shape,
              [shape](const LayerTensors& tensors) { return make_group_norm(shape, tensors); });
}

NetworkBuilder::Value NetworkBuilder::max_pool(const Value& in, int window, int stride,
                                               int padding) {
  const ops::PoolShape shape{in.shape, window, stride, padding};
  return step(in, shape.out(), [shape](const LayerTensors&) { return make_max_pool(shape); });
}

NetworkBuilder::Value NetworkBuilder::mean_pool(const Value& in) {
  return step(in, {1, 1, in.shape.channels},
              [shape = in.shape](const LayerTensors&) { return make_mean_pool(shape); });
}

NetworkBuilder::Value NetworkBuilder::flatten(const Value& in) {
  return step(in, {1, 1, static_cast<int>(in.shape.size())},
              [shape = in.shape](const LayerTensors&) { return make_flatten(shape); });
}

NetworkBuilder::Value NetworkBuilder::relu(const Value& in) {
  return step_in_place(in, in,
                       [size = in.shape.size()](const LayerTensors&) { return make_relu(size); });
}

NetworkBuilder::Value NetworkBuilder::join(const Value& branch, const Value& shortcut) {
  return step_in_place(shortcut, branch, [size = branch.shape.size()](const LayerTensors&) {
    return make_join(size);
  });
}

NetworkGraph NetworkBuilder::finish() {
  const ParameterLayout& layout = graph_.layout;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const PendingStep& pending = pending_[i];
    LayerTensors tensors{.first = pending.first_tensor, .count = pending.tensors};
    if (pending.tensors > 0) tensors.weight = layout.ranges()[pending.first_tensor].begin;
    if (pending.tensors > 1) tensors.bias = layout.ranges()[pending.first_tensor + 1].begin;
    if (pending.statistics > 0) {
      tensors.running_mean = layout.statistics()[pending.first_statistic].range.begin;
      tensors.running_variance = layout.statistics()[pending.first_statistic + 1].range.begin;
    }
    graph_.steps[i].layer = pending.make(tensors);
  }
  return std::move(graph_);
}

}  // namespace fedselect
