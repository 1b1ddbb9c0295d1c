// The communication of rounds, with the program's own sources and the layouts of its networks, in
// the order of Runner::run_round; training is time that passes. Runs under mpirun, and under
// SimGrid's smpirun (docs/scaling.md). The root prints one line of JSON a round.

#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <exception>
#include <numeric>
#include <string>

#include "base/error.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sum.hpp"
#include "fed/assignment.hpp"
#include "fed/lending.hpp"
#include "fed/pace.hpp"
#include "fed/record.hpp"
#include "fed/shared_sum.hpp"
#include "model/network.hpp"
#include "workplace.hpp"

namespace fedselect::bench {
namespace {

struct Plan {
  std::string network = "cnn";
  std::string masks = "none";  ///< none, fixed, changing
  int clients = 64;            ///< of a cohort
  int population = 0;          ///< from which it is drawn; 0: as many
  int rounds = 3;
  double client_seconds = 0.01;  ///< of training, testing, selecting and storing
  double merge_seconds = 0;      ///< of making the sums the new model, on every rank
  double round_seconds = 0;      ///< of what the root writes down once a round
  double record_seconds = 0;     ///< of writing down one client's round, on the root
  double add_seconds = 0;        ///< of adding a byte to another, where a simulation has to be told
  double spread = 0;             ///< work of the clients: 1 - spread to 1 + spread times the mean
  bool check = false;            ///< real arrays, and the sums are checked on every rank
};

Plan parse(int argc, char** argv) {
  Plan plan;
  CLI::App app("The communication of rounds; training is time that passes.");
  app.add_option("--network", plan.network)->check(CLI::IsMember({"mlp", "cnn", "resnet18"}));
  app.add_option("--masks", plan.masks)->check(CLI::IsMember({"none", "fixed", "changing"}));
  app.add_option("--clients", plan.clients);
  app.add_option("--population", plan.population);
  app.add_option("--rounds", plan.rounds);
  app.add_option("--client-seconds", plan.client_seconds);
  app.add_option("--merge-seconds", plan.merge_seconds);
  app.add_option("--round-seconds", plan.round_seconds);
  app.add_option("--record-seconds", plan.record_seconds);
  app.add_option("--add-seconds", plan.add_seconds);
  app.add_option("--spread", plan.spread)->check(CLI::Range(0.0, 1.0));
  app.add_flag("--check", plan.check);
  app.parse(argc, argv);
  if (plan.population == 0) plan.population = plan.clients;
  return plan;
}

Network network_of(const std::string& name) {
  const auto kind = name == "mlp"   ? ModelKind::mlp
                    : name == "cnn" ? ModelKind::cnn
                                    : ModelKind::resnet18;
  return {{.name = kind}, {28, 28, 1}, 10};
}

/// Counts the bytes that each rank brings to the sums. Whatever the algorithm, a rank adds its
/// ranks-th part of them ranks - 1 times.
class CountedSum final : public DeviceSum {
 public:
  CountedSum(Communicator& comm, double add_seconds)
      : sum_(make_host_sum(comm)), add_seconds_(add_seconds * (1 - 1.0 / comm.size())) {}
  void all_reduce(std::span<std::int64_t> device) override { reduce(device); }
  void all_reduce(std::span<std::uint32_t> device) override { reduce(device); }
  std::string name() const override { return sum_->name(); }
  std::size_t take() { return std::exchange(bytes_, 0); }

 private:
  template <class T>
  void reduce(std::span<T> device) {
    bytes_ += device.size_bytes();
    sum_->all_reduce(device);
    compute(add_seconds_ * static_cast<double>(device.size_bytes()));
  }

  std::unique_ptr<DeviceSum> sum_;
  double add_seconds_;  ///< of a byte of a sum
  std::size_t bytes_ = 0;
};

std::vector<double> work_of(const Plan& plan) {
  std::vector<double> work;
  for (int k = 0; k < plan.population; ++k) {
    // The fractional parts of multiples of the golden ratio fill [0, 1] evenly.
    const double place = std::fmod(k * 0.6180339887498949, 1.0);
    work.push_back(plan.client_seconds * (1 + plan.spread * (2 * place - 1)));
  }
  return work;
}

constexpr std::uint64_t kSeed = 1;
constexpr double kPersonal = 1.0 / 16;  ///< of the parameters, where there are masks

/// Everything a rank holds for the rounds.
class Player {
 public:
  Player(const Plan& plan, Communicator& comm)
      : plan_(plan),
        comm_(comm),
        sums_(comm, plan.add_seconds),
        network_(network_of(plan.network)),
        layout_(network_.layout()),
        ops_(make_ops(!plan.check)),
        work_(work_of(plan)),
        rank_of_(assign_shards(work_, comm.size())),
        global_(*ops_, 1, layout_.padded_size()),
        group_(*ops_, layout_, 1, {}, {}, clock_),
        sum_(*ops_, layout_, layout_.padded_size()) {}

  void round(int t) {
    Seconds seconds;
    lap();
    cohort_ = draw_cohort({.participation = participation()}, kSeed, work_.size(), t);
    const auto mine = lend();
    seconds.lend = lap();
    sum_.reset(cohort_.size());
    train(mine, t);
    seconds.train = lap();
    bring_home();
    comm_.all_reduce_min(1);  // was any rank asked to stop?
    seconds.wait = lap();
    sum_.all_reduce(sums_, comm_);
    seconds.sum = lap();
    compute(plan_.merge_seconds);
    sum_.mean(global_);
    if (plan_.check) check(t);
    seconds.merge = lap();
    const RoundRecord all = gather_round(comm_, record(t));
    seconds.gather = lap();
    if (comm_.is_root())
      compute(plan_.round_seconds + plan_.record_seconds * static_cast<double>(all.clients.size()));
    comm_.all_reduce_min(1);  // another round, a checkpoint, or the end?
    seconds.write = lap();
    print(t, seconds);
  }

 private:
  /// Of one round, as the root sees them.
  struct Seconds {
    double lend = 0, train = 0, wait = 0, sum = 0, merge = 0, gather = 0, write = 0;
  };

  double lap() {
    const double before = std::exchange(now_, MPI_Wtime());
    return now_ - before;
  }

  double participation() const {
    return static_cast<double>(plan_.clients) / static_cast<double>(plan_.population);
  }

  /// Those of the cohort that this rank hosts.
  std::vector<int> hosted() const {
    std::vector<int> mine;
    for (const int client : cohort_)
      if (rank_of_[static_cast<std::size_t>(client)] == comm_.rank()) mine.push_back(client);
    return mine;
  }

  std::vector<std::byte> state() const {
    const double personal = plan_.masks == "none" ? 0 : kPersonal * 4 + 1.0 / 8;
    return std::vector<std::byte>(
        static_cast<std::size_t>(personal * static_cast<double>(layout_.size())));
  }

  std::vector<int> lend() {
    loans_ = choose_loans(cohort_, work_, rank_of_, settle(share_paces(comm_, {.training = 1})));
    std::vector<int> mine = hosted();
    if (loans_.empty()) return mine;
    std::vector<std::vector<Parcel>> to(static_cast<std::size_t>(comm_.size()));
    for (const Loan& loan : loans_) {
      if (loan.host != comm_.rank()) continue;
      std::erase(mine, loan.client);
      to[static_cast<std::size_t>(loan.guest)].push_back({loan.client, state()});
    }
    for (const Parcel& parcel : deliver(comm_, to)) mine.push_back(parcel.client);
    return mine;
  }

  void bring_home() {
    if (loans_.empty()) return;
    std::vector<std::vector<Parcel>> states(static_cast<std::size_t>(comm_.size()));
    auto records = states;
    for (const Loan& loan : loans_) {
      if (loan.guest != comm_.rank()) continue;
      const auto host = static_cast<std::size_t>(loan.host);
      states[host].push_back({loan.client, state()});
      records[host].push_back(
          {loan.client, std::vector<std::byte>(sizeof(ClientRecord), std::byte{})});
    }
    deliver(comm_, states);
    deliver(comm_, records);
  }

  bool is_masked(int client, int t) const {
    return plan_.masks == "fixed" || (plan_.masks == "changing" && (client + t) % 2 == 0);
  }

  /// Every 16th value, from another one on in each client.
  MaskPtr mask_of(int client, int t) const {
    std::vector<Word> words(layout_.words(), 0);
    if (is_masked(client, t))
      for (const Tensor& tensor : layout_.tensors())
        for (std::size_t i = static_cast<std::size_t>(client) % 16; i < tensor.size(); i += 16)
          set_bit(words.data(), tensor.range.begin + i);
    return std::make_shared<const Mask>(std::move(words));
  }

  /// Time passes for every client. All are added to the sum where that is checked, else the first
  /// one, which says whether there are masks.
  void train(const std::vector<int>& clients, int t) {
    ClientStore store(work_.size(), clients);
    bool is_first = true;
    for (const int client : clients) {
      compute(work_[static_cast<std::size_t>(client)]);
      if (plan_.check || is_first) add(store, client, t);
      is_first = false;
    }
  }

  void add(const ClientStore& store, int client, int t) {
    group_.load(store, {&client, 1}, global_, t);
    if (plan_.masks != "none") group_.personalize(mask_of(client, t));
    if (plan_.check)
      for (const Tensor& tensor : layout_.tensors())
        for (std::size_t i = 0; i < tensor.size(); ++i)
          group_.parameters()[0][tensor.range.begin + i] =
              static_cast<float>(client % 64) + static_cast<float>(i % 7);
    const std::uint32_t weight[] = {1};
    sum_.add(group_, weight, group_.parameters(), group_.mask());
  }

  /// The mean that train() leads to, computed client by client.
  void check(int t) const {
    std::vector<double> total(16, 0);
    std::vector<double> sharers(16, 0);
    for (const int client : cohort_)
      for (std::size_t i = 0; i < 16; ++i) {
        if (is_masked(client, t) && static_cast<std::size_t>(client) % 16 == i) continue;
        total[i] += client % 64;
        ++sharers[i];
      }
    for (const Tensor& tensor : layout_.tensors())
      for (std::size_t i = 0; i < tensor.size(); ++i) {
        const std::size_t j = i % 16;
        if (sharers[j] == 0) continue;  // keeps its value
        const auto expected =
            static_cast<float>((total[j] + sharers[j] * static_cast<double>(i % 7)) / sharers[j]);
        if (global_.of(0)[tensor.range.begin + i] != expected)
          throw SystemError(fmt::format("round {}: {} number {} is {}, not {}", t, tensor.name, i,
                                        global_.of(0)[tensor.range.begin + i], expected));
      }
  }

  RoundRecord record(int t) const {
    RoundRecord record{.round = t, .evaluated = false, .clients = {}, .density = {}, .ranks = {{}}};
    const auto mine = hosted();
    for (const int client : mine) record.clients.push_back({.client = client});
    record.density.resize(mine.size() * layout_.tensors().size());
    return record;
  }

  void print(int t, const Seconds& seconds) {
    const std::size_t bytes = sums_.take();
    if (!comm_.is_root()) return;
    fmt::print(
        R"({{"round": {}, "ranks": {}, "parameters": {}, "values": {}, "bytes": {}, "loans": {}, )"
        R"("lend": {:.9f}, "train": {:.9f}, "wait": {:.9f}, "sum": {:.9f}, "merge": {:.9f}, )"
        R"("gather": {:.9f}, "write": {:.9f}}})"
        "\n",
        t, comm_.size(), layout_.size(), layout_.padded_size(), bytes, loans_.size(), seconds.lend,
        seconds.train, seconds.wait, seconds.sum, seconds.merge, seconds.gather, seconds.write);
    std::fflush(stdout);
  }

  const Plan& plan_;
  Communicator& comm_;
  CountedSum sums_;
  Network network_;
  const ParameterLayout& layout_;
  std::unique_ptr<ops::Ops> ops_;
  std::vector<double> work_;  ///< seconds of each client
  std::vector<int> rank_of_;
  std::vector<int> cohort_;  ///< of this round
  ParameterVector global_;
  PhaseClock clock_;
  ClientGroup group_;
  SharedSum sum_;
  std::vector<Loan> loans_;
  double now_ = 0;
};

}  // namespace
}  // namespace fedselect::bench

int main(int argc, char** argv) {
  using namespace fedselect;
  MpiSession session(argc, argv);
  Communicator& world = session.world();
  try {
    const bench::Plan plan = bench::parse(argc, argv);
    bench::Player player(plan, world);
    world.all_reduce_min(1);  // all begin the first round at once; SimGrid's barrier lets go early
    for (int t = 0; t < plan.rounds; ++t) player.round(t);
  } catch (const std::exception& error) {
    fmt::print(stderr, "rank {}: {}\n", world.rank(), error.what());
    world.abort(1);
  }
}
