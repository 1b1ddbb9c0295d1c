// What a device makes of clients side by side: images a second in training steps, and the bandwidth
// of selection and of aggregation, by the size of the group.
//
//   device_bench cpu|cuda [SECONDS [MODEL [CLIENTS]]]      a table on stdout

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <string>
#include <vector>

#include "cuda_device.hpp"
#include "fed/trainer.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// `group` clients with 64 random images each, half of their parameters personal.
class Bench {
 public:
  Bench(ops::Ops& ops, const Network& network, int group)
      : ops_(ops),
        network_(network),
        group_(group),
        data_(testing::random_dataset(kSamples, kSamples, network.image(), network.classes())),
        initial_(network.initial_parameters(1)),
        global_(ops, 1, initial_.size()),
        clients_(ops, network.layout(), group, {}, initial_, clock_),
        chosen_(ops, group, network.layout().words()) {
    config_.batch = kBatch;
    std::vector<std::int32_t> all(kSamples);
    std::iota(all.begin(), all.end(), 0);
    partition_.train.assign(static_cast<std::size_t>(group), all);
    partition_.test = partition_.train;
    std::vector<int> ids(static_cast<std::size_t>(group));
    std::iota(ids.begin(), ids.end(), 0);
    global_.upload(ops, 0, std::span<const float>(initial_));
    clients_.load(ClientStore(static_cast<std::size_t>(group), ids), ids, global_, 0);
    std::vector<Word> words(network.layout().words(), 0);
    for (const auto& range : network.layout().ranges())
      for (std::size_t j = 0; j < range.size; j += 2) set_bit(words.data(), range.begin + j);
    clients_.personalize(std::make_shared<const Mask>(std::move(words)));
  }

  double images_per_second(double seconds) {
    Trainer trainer(ops_, network_, {.train = config_, .seed = 1}, data_, partition_, clients_,
                    group_);
    trainer.begin(Phase::train);
    const double best = fastest(seconds, [&] { trainer.passes(1, Scope::personal); });
    return static_cast<double>(kSamples) * group_ / best;
  }

  /// Bytes of parameters a second that the clients' sums take in.
  double aggregation_bandwidth(double seconds) {
    const std::size_t size = network_.layout().padded_size();
    const std::vector<std::uint32_t> weights(static_cast<std::size_t>(group_), 1);
    ops::DeviceArray<std::int64_t> sums(ops_, 1, size);
    ops::DeviceArray<std::uint32_t> counts(ops_, 1, size);
    const ops::SumView view{.low = sums.of(0), .weight = counts.of(0)};
    const double best = fastest(seconds, [&] {
      ops_.accumulate(clients_.active(), size, {.fraction_bits = 30}, weights,
                      clients_.parameters(), clients_.mask(), view);
    });
    return static_cast<double>(size * sizeof(float)) * group_ / best;
  }

  /// Bytes of scores a second that a selection of a quarter per tensor takes in.
  double selection_bandwidth(double seconds) {
    const auto ranges = network_.layout().ranges();
    std::vector<std::int64_t> counts;
    for (int g = 0; g < group_; ++g)
      for (const auto& range : ranges) counts.push_back(static_cast<std::int64_t>(range.size / 4));
    ops_.change_magnitude(clients_.active(), network_.layout().padded_size(), clients_.parameters(),
                          {}, clients_.gradient());
    const double best = fastest(seconds, [&] {
      ops_.select_top(clients_.active(), ranges, counts, ops::Ties::exact, true,
                      clients_.gradient(), clients_.mask(), chosen_.view());
    });
    return static_cast<double>(network_.layout().padded_size() * sizeof(float)) * group_ / best;
  }

 private:
  static constexpr std::size_t kSamples = 64;
  static constexpr int kBatch = 32;

  template <class Work>
  static double fastest(double seconds, const Work& work) {
    for (int warm = 0; warm < 3; ++warm) work();
    double best = 1e9;
    for (const double end = now() + seconds; now() < end;) {
      const double start = now();
      work();
      best = std::min(best, now() - start);
    }
    return best;
  }

  ops::Ops& ops_;
  const Network& network_;
  int group_;
  Dataset data_;
  AlignedVector<float> initial_;
  ParameterVector global_;
  PhaseClock clock_;
  ClientGroup clients_;
  ops::DeviceArray<Word> chosen_;
  Partition partition_;
  TrainConfig config_;
};

void run(const std::string& device, double seconds, ModelKind model,
         const std::vector<int>& groups) {
  const auto ops = device == "cuda" ? cuda::make_ops(0) : ops::make_cpu_ops();
  const bool is_resnet = model >= ModelKind::resnet8;
  const int hidden = model == ModelKind::mlp ? 200 : model == ModelKind::cnn ? 512 : 0;
  const Network network({.name = model, .hidden = hidden},
                        is_resnet ? ops::ImageShape{32, 32, 3} : ops::ImageShape{28, 28, 1}, 10);
  fmt::print(
      "{}\n\n| clients side by side | images/s | GFLOP/s, nominal | selection GB/s | "
      "aggregation GB/s |\n|---|---|---|---|---|\n",
      ops->device());
  for (const int group : groups) {
    Bench bench(*ops, network, group);
    const double images = bench.images_per_second(seconds);
    fmt::print("| {} | {:.0f} | {:.0f} | {:.1f} | {:.1f} |\n", group, images,
               images * network.training_flops() * 1e-9, bench.selection_bandwidth(seconds) * 1e-9,
               bench.aggregation_bandwidth(seconds) * 1e-9);
  }
}

}  // namespace
}  // namespace fedselect

int main(int argc, char** argv) {
  const std::string device = argc > 1 ? argv[1] : "";
  if (device != "cpu" && device != "cuda") {
    fmt::print(stderr, "usage: device_bench cpu|cuda [SECONDS [MODEL [CLIENTS]]]\n");
    return 2;
  }
  const std::string model = argc > 3 ? argv[3] : "cnn";
  const auto& names = fedselect::kModelNames;
  const auto name = std::find(names.begin(), names.end(), model);
  if (name == names.end()) {
    fmt::print(stderr, "device_bench: {}: no such model; there are {}\n", model,
               fmt::join(names, ", "));
    return 2;
  }
  std::vector<int> groups{1, 2, 4, 8};
  if (device == "cuda") groups.insert(groups.end(), {16, 32, 64, 128, 256, 512});
  if (argc > 4) groups = {std::atoi(argv[4])};
  try {
    fedselect::run(device, argc > 2 ? std::atof(argv[2]) : 2,
                   static_cast<fedselect::ModelKind>(name - names.begin()), groups);
  } catch (const std::exception& error) {  // as a rule there is no GPU
    fmt::print(stderr, "device_bench: {}\n", error.what());
    return 2;
  }
}
