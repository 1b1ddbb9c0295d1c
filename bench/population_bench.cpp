// population_bench [SCRATCH [HIDDEN]]: memory and round time of large populations (only of the
// network with so many hidden units). First every client takes
// part in one round, in which it trains for one pass and grows a mask of 5 %; a checkpoint of that
// is the start of the measurement: rounds of 1,000 clients train, select and aggregate, and a
// checkpoint is written. Each part of each case runs in a process of its own; of the first one, the
// most memory that it ever took is told beside what is fixed.

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/heap.hpp"
#include "fed/methods.hpp"
#include "fed/simulation.hpp"
#include "io/checkpoint.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

constexpr std::size_t kCohort = 1000;
constexpr double kPersonal = 0.05;
constexpr std::size_t kBudget = std::size_t{1} << 30;
constexpr int kPasses = 5;
constexpr int kRounds = 7;
constexpr int kFirst = 4;  ///< the measured rounds are later than the growth before them

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

/// Of a checkpoint, on disk when the time ends.
CheckpointCost write_one(const std::filesystem::path& path, Simulation& simulation,
                         Communicator& comm) {
  const auto start = std::chrono::steady_clock::now();
  write_checkpoint(path, {}, {.rounds = kRounds, .config = "", .journal = {}}, simulation, comm);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {seconds.count(), static_cast<double>(std::filesystem::file_size(path)) / (1 << 20)};
}

/// A population of which so many clients, or a few more, make a cohort.
class Population {
 public:
  Population(const Case& chosen, std::size_t cohort, int passes, const std::string& scratch)
      : data_(testing::random_dataset(kSamples, kSamples, kImage, 10)),
        partition_(share_samples(chosen.clients, kSamples)),
        network_({.name = ModelKind::mlp, .hidden = chosen.hidden}, kImage, 10) {
    Full full;
    method_->describe(full);
    method_->prepare(network_.layout());
    SimulationSetup setup{
        .seed = 1, .rounds = 1 << 30, .train = {}, .federation = {}, .evaluate = {}};
    setup.passes = passes;
    setup.evaluate.every = 1 << 30;
    setup.federation.participation =
        std::min(1.0, (static_cast<double>(cohort) + 0.5) / static_cast<double>(chosen.clients));
    setup.store = {.memory = kBudget, .scratch = scratch};
    simulation_.emplace(setup, *method_, network_, data_, partition_, Device{*ops_, *sums_},
                        *comm_);
  }

  Simulation& simulation() { return *simulation_; }
  Communicator& comm() { return *comm_; }
  double parameters() const { return static_cast<double>(network_.layout().size()); }

 private:
  static constexpr std::size_t kSamples = 2000;
  static constexpr ops::ImageShape kImage{.height = 28, .width = 28, .channels = 1};

  Dataset data_;
  Partition partition_;
  Network network_;
  std::unique_ptr<Algorithm> method_ = make_fedselect();
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  std::unique_ptr<Communicator> comm_ = make_self_communicator();
  std::unique_ptr<DeviceSum> sums_ = make_host_sum(*comm_);
  std::optional<Simulation> simulation_;
};

/// Every client takes part in a round of growth.
void train_everyone(const Case& chosen, const std::string& scratch,
                    const std::filesystem::path& checkpoint) {
  constexpr int kGrowth = 3;  // the first round in which masks grow
  Population all(chosen, chosen.clients, 1, scratch);
  all.simulation().round(kGrowth);
  write_one(checkpoint, all.simulation(), all.comm());
}

void measure(const Case& chosen, const std::string& scratch,
             const std::filesystem::path& checkpoint, double round_of_all) {
  Population population(chosen, kCohort, kPasses, scratch);
  Simulation& simulation = population.simulation();
  const double fixed = resident_mib();
  Checkpoint(checkpoint).restore(simulation);
  std::vector<double> seconds;
  std::vector<double> cpu_seconds;
  double peak = 0;
  double store = 0;
  for (int t = 0; t < kRounds; ++t) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    const RoundRecord record = simulation.round(kFirst + t);
    cpu_seconds.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    store = record.ranks.front().seconds[static_cast<std::size_t>(Phase::store)];
    peak = std::max(peak, resident_mib());
  }
  for (auto* values : {&seconds, &cpu_seconds}) std::sort(values->begin(), values->end());
  const Sizes sizes = sample_sizes(simulation);
  const double parameters = population.parameters();
  const CheckpointCost cost = write_one(checkpoint, simulation, population.comm());
  fmt::print(
      "| {} | {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.3f} | {:.3f} | {:.3f} "
      "| {:.0f} | {:.2f} |\n",
      chosen.clients, parameters, parameters * (1 / 8.0 + 4 * kPersonal), sizes.in_memory,
      sizes.in_file, fixed, round_of_all - fixed, peak - fixed, seconds[kRounds / 2],
      cpu_seconds[kRounds / 2], store, cost.mib, cost.seconds);
  std::fflush(stdout);
}

/// Does it in a process of its own. Returns the most memory that it took, MiB; throws if it failed.
double run_apart(const std::function<void()>& action) {
  const pid_t child = fork();
  if (child == 0) {
    action();
    _exit(0);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
    throw SystemError("a part of the benchmark failed");
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

struct RemovedAtEnd {
  std::filesystem::path path;
  ~RemovedAtEnd() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

}  // namespace
}  // namespace fedselect

int main(int argc, char** argv) try {
  using fedselect::Case;
  fedselect::return_long_arrays();
  std::puts(
      "| clients | parameters | d/8 + 4 a personal value | bytes of a state in memory | in the "
      "file "
      "| fixed MiB | MiB beside them, round of all | of 1,000 | seconds a round | of the processor "
      "| of them store | MiB of "
      "a checkpoint | its "
      "seconds |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|");
  std::fflush(stdout);
  const std::string hidden = argc > 2 ? argv[2] : "";
  if (!hidden.empty() && hidden != "12" && hidden != "126")
    throw fedselect::InputError("HIDDEN is 12 or 126");
  const std::string scratch = argc > 1 ? argv[1] : "";
  namespace fs = std::filesystem;
  const fs::path checkpoint = (scratch.empty() ? fs::temp_directory_path() : fs::path(scratch)) /
                              fmt::format("population-{}.h5", getpid());
  const fedselect::RemovedAtEnd removed{checkpoint};
  for (const Case& chosen :
       {Case{10000, 12}, Case{1000000, 12}, Case{10000, 126}, Case{100000, 126}}) {
    if (!hidden.empty() && std::to_string(chosen.hidden) != hidden) continue;
    const double most = fedselect::run_apart([&] { train_everyone(chosen, scratch, checkpoint); });
    fedselect::run_apart([&] { measure(chosen, scratch, checkpoint, most); });
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
