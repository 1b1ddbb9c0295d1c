// model_training_dump MODEL GROUPS STEM ROWS COLUMNS CHANNELS FOLDER: writes a network's tensor
// names, initial parameters and statistics, the gradient of one batch, what two passes of local SGD
// make of them, and the losses, as raw little-endian arrays for against_pytorch.py. GROUPS 0: batch
// norm.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>

#include "fed/client_store.hpp"
#include "fed/trainer.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;

constexpr int kSamples = 20;  // two whole batches and a smaller one
constexpr int kBatch = 8;

template <class T>
void write(const fs::path& path, const T* values, std::size_t n) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values), static_cast<std::streamsize>(n * sizeof(T)));
}

/// Parameters and statistics without their padding, tensor after tensor.
void write_vector(const fs::path& folder, const std::string& name, const ParameterLayout& layout,
                  const float* vector) {
  const auto write_tensors = [&](const std::string& file, const std::vector<Tensor>& tensors) {
    std::vector<float> values;
    for (const Tensor& tensor : tensors) {
      const float* begin = vector + tensor.range.begin;
      values.insert(values.end(), begin, begin + tensor.size());
    }
    write(folder / file, values.data(), values.size());
  };
  write_tensors(name, layout.tensors());
  write_tensors(name + "_statistics", layout.statistics());
}

void write_names(const fs::path& path, const ParameterLayout& layout) {
  std::ofstream file(path);
  for (const Tensor& tensor : layout.tensors()) file << "parameter " << tensor.name << "\n";
  for (const Tensor& tensor : layout.statistics()) file << "statistic " << tensor.name << "\n";
}

void dump(const ModelConfig& config, const ops::ImageShape& image, const fs::path& folder) {
  const Network network(config, image, 10);
  const Dataset data = testing::random_dataset(kSamples, 10, network.image(), network.classes());
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
  TrainConfig train;
  train.batch = kBatch;
  train.lr = 0.02;
  train.optimizer.momentum = 0.9;
  train.optimizer.weight_decay = 0.01;
  train.grad_clip = 0.5;
  train.shuffle = false;
  Trainer trainer(*ops, network, {.train = train, .test_batch = 10, .seed = 1}, data, partition,
                  clients, 1);
  const std::vector<int> ids{0};
  clients.load(ClientStore(1, ids), ids, global, 0);

  write_names(folder / "names", network.layout());
  write_vector(folder, "initial", network.layout(), initial.data());
  write(folder / "pixels", reinterpret_cast<const std::uint8_t*>(data.train.pixels.get()),
        data.train.size * network.image().size());
  write(folder / "labels", data.train.label_values().data(), data.train.size);
  trainer.begin(Phase::train);
  trainer.passes(2, Scope::all);
  write_vector(folder, "trained", network.layout(), clients.parameters()[0]);

  // The gradient of the whole data set in one batch, at the initial parameters.
  Activations activations(*ops, network, 1, kSamples, kSamples);
  const std::vector<int> samples{kSamples};
  const ops::Group group{samples};
  ops->gather_batch(group, data.source(data.train), {partition.train[0].data(), 0}, {},
                    activations.images(), activations.labels());
  std::vector<double> loss(1);
  std::vector<std::int32_t> correct(1);
  AlignedVector<float> gradient(initial.size());
  AlignedVector<float> theta = initial;
  activations.forward(group, {theta.data(), 0}, Mode::training);
  activations.backward(group, {initial.data(), 0},
                       std::vector<char>(network.layout().tensors().size(), 1),
                       {gradient.data(), 0}, {{loss.data(), 1}, {correct.data(), 1}});
  write_vector(folder, "gradient", network.layout(), gradient.data());

  // The loss of the trained network in evaluation.
  std::vector<double> evaluated(1);
  activations.forward(group, clients.parameters(), Mode::evaluation);
  activations.measure(group, {{evaluated.data(), 1}, {correct.data(), 1}});
  loss.push_back(evaluated[0]);
  write(folder / "loss", loss.data(), 2);
}

template <std::size_t n>
std::size_t index_in(const std::array<std::string_view, n>& names, std::string_view name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace
}  // namespace fedselect

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  using namespace fedselect;
  ModelConfig config{.hidden = 20};
  config.name = static_cast<ModelKind>(index_in(kModelNames, argv[1]));
  config.groups = std::atoi(argv[2]);
  config.norm = config.groups > 0 ? NormKind::group : NormKind::batch;
  config.stem = static_cast<StemKind>(index_in(kStemNames, argv[3]));
  const ops::ImageShape image{std::atoi(argv[4]), std::atoi(argv[5]), std::atoi(argv[6])};
  dump(config, image, argv[7]);
  return 0;
}
