// Whole training steps on one thread, all included (batch assembly, loss, backward, masked update),
// against the machine's FMA peak.
//
//   training_bench [SECONDS [MODEL]]      JSON lines on stdout; bench/peer_torch.py runs this and
//   PyTorch side by side

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "fed/trainer.hpp"
#include "machine.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One client with random images, ready to train; half of its parameters are personal.
class Bench {
 public:
  Bench(const ModelConfig& model, const ops::ImageShape& image, int batch)
      : samples_(model.name == ModelKind::resnet18 ? 64 : 320),
        network_(model, image, 10),
        data_(testing::random_dataset(samples_, samples_, network_.image(), network_.classes())),
        initial_(network_.initial_parameters(1)),
        global_(*ops_, 1, initial_.size()),
        clients_(*ops_, network_.layout(), 1, {}, initial_, clock_) {
    config_.batch = batch;
    config_.lr = 0.01;
    partition_.train.resize(1);
    partition_.train[0].resize(samples_);
    std::iota(partition_.train[0].begin(), partition_.train[0].end(), 0);
    partition_.test = partition_.train;
    global_.upload(*ops_, 0, std::span<const float>(initial_));
    clients_.load(ClientStore(1, {0}), std::vector<int>{0}, global_, 0);
    std::vector<Word> words(network_.layout().words(), 0);
    for (const auto& range : network_.layout().ranges())
      for (std::size_t j = 0; j < range.size; j += 2) set_bit(words.data(), range.begin + j);
    clients_.personalize(std::make_shared<const Mask>(std::move(words)));
  }

  /// Images a second of the best of many passes within `seconds`.
  double images_per_second(Scope scope, double seconds) {
    Trainer trainer(*ops_, network_, {.train = config_, .seed = 1}, data_, partition_, clients_, 1);
    trainer.begin(Phase::train);
    trainer.passes(1, scope);
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
      const double start = now();
      trainer.passes(1, scope);
      best = std::max(best, static_cast<double>(samples_) / (now() - start));
    }
    return best;
  }

  double tested_per_second(double seconds) {
    Trainer trainer(*ops_, network_, {.train = config_, .seed = 1}, data_, partition_, clients_, 1);
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
      const double start = now();
      trainer.test();
      best = std::max(best, static_cast<double>(samples_) / (now() - start));
    }
    return best;
  }

  const Network& network() const { return network_; }
  std::string device() const { return ops_->device(); }

 private:
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  std::size_t samples_;  ///< of a pass: a multiple of every batch size measured
  Network network_;
  Dataset data_;
  TrainConfig config_;
  Partition partition_;
  PhaseClock clock_;
  AlignedVector<float> initial_;
  ParameterVector global_;
  ClientGroup clients_;
};

constexpr ops::ImageShape kMnist{28, 28, 1};
constexpr ops::ImageShape kCifar{32, 32, 3};

/// `selected`: measure only the network of this name; empty: all.
void measure(const ModelConfig& model, const ops::ImageShape& image, int batch, double peak,
             double seconds, std::string_view selected) {
  const std::string name(kModelNames[static_cast<std::size_t>(model.name)]);
  if (!selected.empty() && selected != name) return;
  Bench bench(model, image, batch);
  const auto report = [&](const char* what, double rate, double flops) {
    std::printf(
        "{\"model\": \"%s\", \"batch\": %d, \"what\": \"%s\", \"images_per_second\": %.0f, "
        "\"nominal_gflops\": %.1f, \"share_of_peak\": %.3f, \"device\": \"%s\"}\n",
        name.c_str(), batch, what, rate, rate * flops / 1e9, rate * flops / 1e9 / peak,
        bench.device().c_str());
    std::fflush(stdout);
  };
  const double flops = bench.network().training_flops();
  report("step, all parameters", bench.images_per_second(Scope::all, seconds), flops);
  report("step, by mask", bench.images_per_second(Scope::personal, seconds), flops);
  report("test, batch 100", bench.tested_per_second(seconds), bench.network().forward_flops());
}

}  // namespace
}  // namespace fedselect

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.5;
  const double peak = fedselect::bench::fma_peak_gflops();
  std::printf(
      "{\"what\": \"machine\", \"fma_peak_gflops\": %.1f, \"read_gbs\": %.1f, \"copy_gbs\": "
      "%.1f}\n",
      peak, fedselect::bench::read_bandwidth_gbs(), fedselect::bench::copy_bandwidth_gbs());
  using namespace fedselect;
  const std::string_view selected = argc > 2 ? argv[2] : "";
  measure({.name = ModelKind::cnn}, kMnist, 32, peak, seconds, selected);
  measure({.name = ModelKind::cnn}, kMnist, 8, peak, seconds, selected);
  measure({.name = ModelKind::mlp}, kMnist, 10, peak, seconds, selected);
  measure({.name = ModelKind::lenet5}, kMnist, 32, peak, seconds, selected);
  measure({.name = ModelKind::resnet8}, kCifar, 32, peak, seconds, selected);
  measure({.name = ModelKind::resnet20}, kCifar, 32, peak, seconds, selected);
  measure({.name = ModelKind::resnet18}, kCifar, 32, peak, seconds, selected);
  return 0;
}
