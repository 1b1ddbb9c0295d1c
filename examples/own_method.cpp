// A method of one's own, tried out without touching fedselect: compile it against the installed
// libraries, run it on Fashion-MNIST beside FedAvg. docs/own-method.md walks through it.
//
//   own_method CONFIG      the config's data, model and training; its [[method]] tables are ignored

#include <algorithm>
#include <cstdio>
#include <exception>
#include <numeric>

#include "comm/communicator.hpp"
#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "io/config.hpp"

using namespace fedselect;

namespace {

/// In its first round a client keeps the fraction p of the parameters that changed most, for good;
/// from then on it trains both halves by turns.
class OneShot final : public Algorithm {
 public:
  void describe(Fields& fields) override {
    fields.real("rate", rate_, kPositiveFraction, "fraction of the parameters that is personal");
  }
  void prepare(const ParameterLayout& layout) override {
    everything_ = Mask::of_tensors(layout, [](const Tensor&) { return true; });
  }
  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    if (clients.round() == 0) {
      clients.personalize(everything_);
      trainer.passes(passes, Scope::all);
      clients.keep_top(rate_, SelectionScope::tensor);
      trainer.rewind();
    }
    trainer.alternate(passes, Alternation::interleaved);
  }

 private:
  double rate_ = 0.05;
  MaskPtr everything_;
};

/// Mean test accuracy over the clients after the last round.
double run(Algorithm& algorithm, const Config& config, const Dataset& data,
           const Partition& partition, const Network& network, Communicator& comm) {
  algorithm.prepare(network.layout());
  const auto ops = ops::make_cpu_ops();
  const auto sums = make_host_sum(comm);
  Simulation simulation({.seed = static_cast<std::uint64_t>(config.seed),
                         .rounds = static_cast<int>(config.rounds),
                         .train = config.train,
                         .server = config.server,
                         .federation = config.federation,
                         .evaluate = config.evaluate,
                         .passes = config.train.passes,
                         .initial = {}},
                        algorithm, network, data, partition, {*ops, *sums}, comm);
  RoundRecord last;
  for (int t = 0; t < config.rounds; ++t) last = gather_round(comm, simulation.round(t));
  const double sum = std::accumulate(
      last.clients.begin(), last.clients.end(), 0.0,
      [](double total, const ClientRecord& record) { return total + record.accuracy; });
  return sum / static_cast<double>(std::max<std::size_t>(last.clients.size(), 1));
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession mpi(argc, argv);
  Communicator& comm = mpi.world();
  try {
    require(argc == 2, "usage: own_method CONFIG");
    const Config config = read_config(argv[1], {});
    const Dataset data = load_dataset(config.data, comm);
    const Partition partition =
        draw_partition(config.data, static_cast<std::uint64_t>(config.seed), data.classes,
                       data.train.label_values(), data.test.label_values());
    const Network network(config.model, data.image, data.classes);
    OneShot own;
    const double mine = run(own, config, data, partition, network, comm);
    const double fedavg = run(*make_fedavg(), config, data, partition, network, comm);
    if (comm.is_root()) std::printf("one-shot %.4f\nfedavg   %.4f\n", mine, fedavg);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "own_method: %s\n", error.what());
    comm.abort(2);
  }
}
