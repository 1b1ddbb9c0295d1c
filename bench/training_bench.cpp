// Whole training steps on one thread, all included (batch assembly, loss, backward, masked update),
// against the machine's FMA peak.
//
//   training_bench [SECONDS]      JSON lines on stdout; bench/peer_torch.py runs this and PyTorch
//   side by side

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
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
  Bench(ModelKind model, int batch)
      : network_({model, 200}, {28, 28, 1}, 10),
        data_(testing::random_dataset(kSamples, kSamples, network_.image(), network_.classes())),
        initial_(network_.initial_parameters(1)),
        global_(*ops_, 1, initial_.size()),
        clients_(*ops_, network_.layout(), 1, {}, initial_, clock_) {
    config_.batch = batch;
    config_.lr = 0.01;
    partition_.train.resize(1);
    partition_.train[0].resize(kSamples);
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
    Trainer trainer(*ops_, network_, config_, 100, 1, data_, partition_, clients_, 1);
    trainer.begin(Phase::train);
    trainer.passes(1, scope);
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
      const double start = now();
      trainer.passes(1, scope);
      best = std::max(best, kSamples / (now() - start));
    }
    return best;
  }

  double tested_per_second(double seconds) {
    Trainer trainer(*ops_, network_, config_, 100, 1, data_, partition_, clients_, 1);
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
      const double start = now();
      trainer.test();
      best = std::max(best, kSamples / (now() - start));
    }
    return best;
  }

  const Network& network() const { return network_; }
  std::string device() const { return ops_->device(); }

 private:
  static constexpr int kSamples = 320;  // a multiple of every batch size measured

  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  Network network_;
  Dataset data_;
  TrainConfig config_;
  Partition partition_;
  PhaseClock clock_;
  AlignedVector<float> initial_;
  ParameterVector global_;
  ClientGroup clients_;
};

void measure(const char* name, ModelKind model, int batch, double peak, double seconds) {
  Bench bench(model, batch);
  const auto report = [&](const char* what, double rate, double flops) {
    std::printf(
        "{\"model\": \"%s\", \"batch\": %d, \"what\": \"%s\", \"images_per_second\": %.0f, "
        "\"nominal_gflops\": %.1f, \"share_of_peak\": %.3f, \"device\": \"%s\"}\n",
        name, batch, what, rate, rate * flops / 1e9, rate * flops / 1e9 / peak,
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
  fedselect::measure("cnn", fedselect::ModelKind::cnn, 32, peak, seconds);
  fedselect::measure("cnn", fedselect::ModelKind::cnn, 8, peak, seconds);
  fedselect::measure("mlp", fedselect::ModelKind::mlp, 10, peak, seconds);
  return 0;
}
