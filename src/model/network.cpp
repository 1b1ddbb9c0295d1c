#include "model/network.hpp"

#include "base/random.hpp"
#include "model/architectures.hpp"

namespace fedselect {

namespace {

NetworkGraph graph_of(const ModelConfig& config, const ops::ImageShape& image, int classes) {
  NetworkBuilder builder(image);
  build_network(config, classes, builder);
  return builder.finish();
}

double draw(const TensorStart& start, RandomStream& random) {
  switch (start.law) {
    case TensorStart::Law::uniform: return (2 * random.uniform() - 1) * start.scale;
    case TensorStart::Law::normal: return random.normal() * start.scale;
    case TensorStart::Law::constant: break;
  }
  return start.scale;
}

}  // namespace

Network::Network(const ModelConfig& config, const ops::ImageShape& image, int classes)
    : image_(image), classes_(classes), graph_(graph_of(config, image, classes)) {}

AlignedVector<float> Network::initial_parameters(std::uint64_t seed) const {
  AlignedVector<float> theta(layout().padded_size(), 0.0F);
  const auto fill = [&](const Tensor& tensor, const TensorStart& start, std::size_t number) {
    RandomStream random(seed, Purpose::initial_weights, static_cast<std::uint32_t>(number));
    for (std::size_t j = 0; j < tensor.size(); ++j)
      theta[tensor.range.begin + j] = static_cast<float>(draw(start, random));
  };
  for (std::size_t i = 0; i < layout().tensors().size(); ++i)
    fill(layout().tensors()[i], graph_.starts[i], i);
  for (std::size_t i = 0; i < layout().statistics().size(); ++i)
    fill(layout().statistics()[i], graph_.statistic_starts[i], i);
  return theta;
}

}  // namespace fedselect
