// population_bench [SCRATCH]: memory and round time of large populations. Every client has been
// given what training leaves it: a mask of its own with 5 % of the bits set at random, and values;
// then rounds of 1,000 clients train, select and aggregate, and a checkpoint is written. Each case
// runs in a process of its own.

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "io/checkpoint.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

constexpr std::size_t kCohort = 1000;
constexpr double kPersonal = 0.05;
constexpr std::size_t kBudget = std::size_t{1} << 30;
constexpr int kRounds = 7;

struct Case {
  std::size_t clients;
  std::int64_t hidden;
};

/// Forty training samples, as in the paper's setting, and two test samples a client, of a few that
/// all share.
Partition share_samples(std::size_t clients, std::size_t samples) {
  Partition partition;
  partition.train.resize(clients);
  partition.test.resize(clients);
  for (std::size_t k = 0; k < clients; ++k) {
    for (std::size_t i = 0; i < 40; ++i)
      partition.train[k].push_back(static_cast<std::int32_t>((40 * k + i) % samples));
    for (std::size_t i = 0; i < 2; ++i)
      partition.test[k].push_back(static_cast<std::int32_t>((2 * k + i) % samples));
  }
  return partition;
}

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * 4096 / (1 << 20);
}

/// Keys of GradSelect: masks that have all they may have.
class Full final : public Fields {
 public:
  void real(std::string_view key, double& value, const Interval& /*range*/,
            std::string_view /*meaning*/) override {
    if (key == "rate" || key == "limit") value = kPersonal;
  }
  void choice_index(std::string_view key, std::size_t& index,
                    std::span<const std::string_view> names, std::string_view) override {
    if (key == "reference")
      index = static_cast<std::size_t>(std::find(names.begin(), names.end(), "round-start") -
                                       names.begin());
  }
  void integer(std::string_view, std::int64_t&, const Interval&, std::string_view) override {}
  void flag(std::string_view, bool&, std::string_view) override {}
  void text(std::string_view, std::string&, std::string_view) override {}
  void texts(std::string_view, std::vector<std::string>&, std::string_view) override {}
  void applies(bool, std::string_view, std::string_view) override {}
  void check(bool, std::string_view, std::string_view) override {}
};

void fill(Simulation& simulation) {
  const ParameterLayout& layout = simulation.layout();
  std::mt19937 random(1);
  std::geometric_distribution<std::size_t> gap(kPersonal);
  for (const int client : simulation.shard()) {
    std::vector<Word> words(layout.words(), 0);
    for (const ops::Range& range : layout.ranges())
      for (std::size_t j = gap(random); j < range.size; j += 1 + gap(random))
        set_bit(words.data(), range.begin + j);
    ClientState& state = simulation.store().state(client);
    state.mask = std::make_shared<const Mask>(std::move(words));
    state.personal.assign(state.mask->count(), 0.01F);
    state.vectors.resize(simulation.belongings().vectors.size());
    simulation.store().trim();
  }
}

/// Mean bytes of a client's state.
struct Sizes {
  double in_memory = 0;
  double in_file = 0;
};

Sizes sample_sizes(Simulation& simulation) {
  constexpr int kSampled = 1000;
  Sizes sizes;
  std::vector<MaskPtr> common;
  for (const int client : simulation.shard().first(kSampled)) {
    const ClientState& state = std::as_const(simulation.store()).state(client);
    sizes.in_memory += static_cast<double>(state.bytes()) / kSampled;
    sizes.in_file += static_cast<double>(pack(state, common).size()) / kSampled;
    simulation.store().trim();
  }
  return sizes;
}

struct CheckpointCost {
  double seconds = 0;
  double mib = 0;
};

/// Of a checkpoint in the scratch folder, on disk when the time ends.
CheckpointCost write_one(Simulation& simulation, const std::string& scratch, Communicator& comm) {
  const std::filesystem::path folder =
      scratch.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(scratch);
  const auto path = folder / fmt::format("population-{}.h5", getpid());
  const auto start = std::chrono::steady_clock::now();
  write_checkpoint(path, {}, {.rounds = kRounds, .config = "", .journal = {}}, simulation, comm);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const auto bytes = std::filesystem::file_size(path);
  std::filesystem::remove(path);
  return {seconds.count(), static_cast<double>(bytes) / (1 << 20)};
}

void measure(const Case& chosen, const std::string& scratch) {
  constexpr std::size_t kSamples = 2000;
  const ops::ImageShape image{.height = 28, .width = 28, .channels = 1};
  const Dataset data = testing::random_dataset(kSamples, kSamples, image, 10);
  const Partition partition = share_samples(chosen.clients, kSamples);
  const Network network({.name = ModelKind::mlp, .hidden = chosen.hidden}, image, 10);
  auto method = make_fedselect();
  Full full;
  method->describe(full);
  method->prepare(network.layout());
  auto ops = ops::make_cpu_ops();
  auto comm = make_self_communicator();
  auto sums = make_host_sum(*comm);
  SimulationSetup setup{
      .seed = 1, .rounds = 1 << 30, .train = {}, .federation = {}, .evaluate = {}};
  setup.passes = 5;
  setup.federation.participation = (kCohort + 0.5) / static_cast<double>(chosen.clients);
  setup.store = {.memory = kBudget, .scratch = scratch};
  Simulation simulation(setup, *method, network, data, partition, Device{*ops, *sums}, *comm);

  const double fixed = resident_mib();
  fill(simulation);
  std::vector<double> seconds;
  double peak = 0;
  double store = 0;
  for (int t = 0; t < kRounds; ++t) {
    const auto start = std::chrono::steady_clock::now();
    const RoundRecord record = simulation.round(t);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    store = record.ranks.front().seconds[static_cast<std::size_t>(Phase::store)];
    peak = std::max(peak, resident_mib());
  }
  std::sort(seconds.begin(), seconds.end());
  const Sizes sizes = sample_sizes(simulation);
  const auto parameters = static_cast<double>(network.layout().size());
  const CheckpointCost cost = write_one(simulation, scratch, *comm);
  fmt::print(
      "| {} | {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.3f} | {:.3f} | {:.0f} | {:.2f} "
      "|\n",
      chosen.clients, parameters, parameters * (1 / 8.0 + 4 * kPersonal), sizes.in_memory,
      sizes.in_file, fixed, peak - fixed, seconds[seconds.size() / 2], store, cost.mib,
      cost.seconds);
  std::fflush(stdout);
}

}  // namespace
}  // namespace fedselect

int main(int argc, char** argv) {
  using fedselect::Case;
  std::puts(
      "| clients | parameters | d/8 + 4 a personal value | bytes of a state in memory | in the "
      "file "
      "| fixed MiB | MiB beside them | seconds a round | of them store | MiB of a checkpoint | its "
      "seconds |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|");
  std::fflush(stdout);
  for (const Case& chosen :
       {Case{10000, 12}, Case{1000000, 12}, Case{10000, 126}, Case{100000, 126}}) {
    if (fork() == 0) {
      fedselect::measure(chosen, argc > 1 ? argv[1] : "");
      _exit(0);
    }
    int status = 0;
    wait(&status);
    if (status != 0) return 1;
  }
  return 0;
}
