// model_training_dump MODEL FOLDER: writes a network's initial parameters, the gradient of the
// first batch, and the parameters after two passes of local SGD, as raw little-endian arrays for
// against_pytorch.py.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "fed/client_store.hpp"
#include "fed/trainer.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;

template <class T>
void write(const fs::path& path, const T* values, std::size_t n) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values), static_cast<std::streamsize>(n * sizeof(T)));
}

/// The vector without its padding, tensor after tensor.
void write_parameters(const fs::path& path, const ParameterLayout& layout, const float* vector) {
  std::vector<float> values;
  for (const auto& range : layout.ranges())
    values.insert(values.end(), vector + range.begin, vector + range.begin + range.size);
  write(path, values.data(), values.size());
}

void dump(const std::string& model, const fs::path& folder) {
  const ModelKind kind = model == "logistic" ? ModelKind::logistic
                         : model == "mlp"    ? ModelKind::mlp
                                             : ModelKind::cnn;
  const Network network({kind, 20}, {28, 28, 1}, 10);
  const Dataset data = testing::random_dataset(41, 10, network.image(), network.classes());
  Partition partition;
  partition.train.resize(1);
  partition.train[0].resize(data.train.size);
  std::iota(partition.train[0].begin(), partition.train[0].end(), 0);
  partition.test = {{0}};

  auto ops = ops::make_cpu_ops();
  PhaseClock clock;
  const auto initial = network.initial_parameters(5);
  ParameterVector global(*ops, 1, initial.size());
  global.upload(*ops, 0, std::span<const float>(initial));
  ClientGroup clients(*ops, network.layout(), 1, {}, initial, clock);
  TrainConfig config;
  config.batch = 16;
  config.lr = 0.1;
  config.momentum = 0.9;
  config.weight_decay = 0.01;
  config.grad_clip = 0.5;
  config.shuffle = false;
  Trainer trainer(*ops, network, config, 10, 1, data, partition, clients, 1);
  const std::vector<int> ids{0};
  clients.load(ClientStore(1, ids), ids, global, 0);

  write_parameters(folder / "initial", network.layout(), initial.data());
  write(folder / "pixels", reinterpret_cast<const std::uint8_t*>(data.train.pixels.get()),
        data.train.size * network.image().size());
  write(folder / "labels", data.train.label_values().data(), data.train.size);
  trainer.begin(Phase::train);
  trainer.passes(2, Scope::all);
  write_parameters(folder / "trained", network.layout(), clients.parameters()[0]);

  // The gradient of the whole data set in one batch, at the initial parameters.
  Activations activations(*ops, network, 1, 41, 41);
  const std::vector<int> samples{41};
  const ops::Group group{samples};
  ops->gather_batch(group, data.source(data.train), {partition.train[0].data(), 0},
                    activations.images(), activations.labels());
  std::vector<double> loss(1);
  std::vector<std::int32_t> correct(1);
  AlignedVector<float> gradient(initial.size());
  activations.forward(group, {initial.data(), 0});
  activations.backward(group, {initial.data(), 0},
                       std::vector<char>(network.layout().tensors().size(), 1),
                       {gradient.data(), 0}, loss, correct);
  write_parameters(folder / "gradient", network.layout(), gradient.data());
  write(folder / "loss", loss.data(), 1);
}

}  // namespace
}  // namespace fedselect

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  fedselect::dump(argv[1], argv[2]);
  return 0;
}
