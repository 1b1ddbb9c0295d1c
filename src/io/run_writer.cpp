#include "io/run_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>
#include <optional>
#include <system_error>

#include "base/error.hpp"
#include "files/atomic_file.hpp"
#include "io/manifest.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

constexpr const char* kResultFile = "result.h5";
constexpr const char* kConfigFile = "config.toml";
constexpr const char* kManifestFile = "manifest.json";
constexpr const char* kMetricsFile = "metrics.csv";
constexpr const char* kMetricsHeader =
    "round,clients,accuracy_mean,accuracy_worst,accuracy_before_mean,accuracy_after_mean,"
    "loss_mean,personal_share,bytes_up,bytes_down,gradients,diverged,seconds\n";

/// A column of metrics.csv over the cohort: of the finite values only, empty if there is none.
class Column {
 public:
  void add(double value) {
    if (!std::isfinite(value)) return;
    sum_ += value;
    least_ = count_ == 0 ? value : std::min(least_, value);
    ++count_;
  }
  std::string mean() const { return text(sum_ / static_cast<double>(count_)); }
  std::string least() const { return text(least_); }

 private:
  std::string text(double value) const { return count_ == 0 ? "" : fmt::format("{}", value); }

  double sum_ = 0;
  double least_ = 0;
  std::int64_t count_ = 0;
};

template <class T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  const auto bytes = bytes_of(values);
  return {bytes.begin(), bytes.end()};
}

std::string metrics_row(const ParameterLayout& layout, const RoundRecord& round, double seconds) {
  Column accuracy;
  Column before;
  Column after;
  Column loss;
  Column personal;
  ClientRecord sum;
  std::int64_t clients = 0;
  std::int64_t diverged = 0;
  for (std::size_t i = 0; i < round.clients.size(); ++i) {
    const ClientRecord& record = round.clients[i];
    if (record.participated == 0) continue;
    ++clients;
    diverged += record.diverged;
    accuracy.add(record.accuracy);
    before.add(record.accuracy_before);
    after.add(record.accuracy_after);
    loss.add(record.loss);
    personal.add(round.personal_share(i, layout));
    sum.bytes_up += record.bytes_up;
    sum.bytes_down += record.bytes_down;
    sum.gradients += record.gradients;
  }
  return fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{:.6f}\n", round.round, clients,
                     accuracy.mean(), accuracy.least(), before.mean(), after.mean(), loss.mean(),
                     personal.mean(), sum.bytes_up, sum.bytes_down, sum.gradients, diverged,
                     seconds);
}

}  // namespace

void require_unused(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error) || fs::is_empty(folder, error)) return;
  throw InputError(
      fmt::format("{}: holds a run already (nothing is overwritten): remove the folder, or choose "
                  "another name with --name or another place with --out",
                  folder.string()));
}

RunWriter::RunWriter(fs::path folder, RunDescription description, const Network& network,
                     Communicator& comm)
    : folder_(std::move(folder)),
      description_(std::move(description)),
      network_(network),
      layout_(network.layout()),
      comm_(comm) {
  agree(comm_, [&] {
    if (comm_.is_root()) create_folder();
  });
}

void RunWriter::create_folder() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error)
    throw InputError(fmt::format("{}: cannot make this folder ({}): choose another one with --out",
                                 folder_.string(), error.message()));
  require_unused(folder_);
  try {
    replace_file(folder_ / kConfigFile, description_.config);
    replace_file(folder_ / kManifestFile, description_.manifest);
  } catch (
      const SystemError& failure) {  // nothing is lost yet: the user has to choose a better place
    throw InputError(failure.what());
  }
  metrics_.open(folder_ / kMetricsFile, std::ios::trunc);
  metrics_ << kMetricsHeader << std::flush;
  require(metrics_.good(), fmt::format("{}: cannot write it: choose another folder with --out",
                                       (folder_ / kMetricsFile).string()));
}

void RunWriter::add(const RoundRecord& round, double seconds) {
  if (!comm_.is_root()) return;
  rounds_.push_back(round);
  metrics_ << metrics_row(layout_, round, seconds) << std::flush;
  if (!metrics_.good())
    throw SystemError(fmt::format("{}: cannot write it: is the disk full, or gone?",
                                  (folder_ / kMetricsFile).string()));
}

void RunWriter::finish(Simulation& simulation, const Dataset& data, const Partition& partition) {
  std::optional<ResultFile> file;
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    file.emplace(folder_ / kResultFile);
    write_parts(*file, simulation, data, partition);
  });
  ResultFile* target = file ? &*file : nullptr;
  if (description_.masks) agree(comm_, [&] { collect_masks(target, simulation); });
  if (description_.client_models) agree(comm_, [&] { collect_models(target, simulation); });
  if (description_.cross) agree(comm_, [&] { collect_cross(target, simulation); });
  agree(comm_, [&] { collect_new_clients(target, simulation); });
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    file->commit();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
    const PhaseSeconds tail = simulation.clock().take();  // since the last round was measured
    replace_file(folder_ / kManifestFile,
                 complete_manifest(description_.manifest, seconds.count(),
                                   std::accumulate(tail.begin(), tail.end(), 0.0)));
  });
}

void RunWriter::write_parts(ResultFile& file, Simulation& simulation, const Dataset& data,
                            const Partition& partition) const {
  const std::size_t clients = partition.clients();
  file.write_header(description_, data.name, rounds_.size(), clients, network_);
  file.write_metrics(rounds_, clients, layout_.tensors().size());
  file.write_summary(rounds_, partition);
  if (description_.target > 0) file.write_cost(cost_to_target(rounds_, description_.target));
  file.write_layout(layout_);
  const auto model = simulation.global_model();
  file.write_model(layout_, std::span<const float>(model));
  file.write_clients(partition, data);
  file.write_provenance(description_.manifest);
  file.write_timings(rounds_, static_cast<std::size_t>(comm_.size()), simulation.rank_of_client());
}

/// One row at a time, in client order: its client's rank sends it, the root writes it. If the root
/// cannot write, it still takes what the others send, so that none of them waits for ever.
void RunWriter::collect_rows(ResultFile* file, Simulation& simulation,
                             const std::function<void(ResultFile&)>& begin,
                             const RowOfClient& own) const {
  const auto& rank_of = simulation.rank_of_client();
  std::exception_ptr failure;
  const auto guarded = [&](const auto& write) {
    if (failure) return;
    try {
      write();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  if (file != nullptr) guarded([&] { begin(*file); });
  for (std::size_t k = 0; k < rank_of.size(); ++k) {
    const int client = static_cast<int>(k);
    const bool is_mine = rank_of[k] == comm_.rank();
    if (file == nullptr) {
      if (is_mine) comm_.send(own(client), 0);
    } else {
      const auto row = is_mine ? own(client) : comm_.receive(rank_of[k]);
      guarded([&] { file->add_row(row); });
    }
  }
  if (failure) std::rethrow_exception(failure);
}

void RunWriter::collect_masks(ResultFile* file, Simulation& simulation) const {
  collect_rows(
      file, simulation,
      [&](ResultFile& target) { target.begin_masks(layout_, simulation.rank_of_client().size()); },
      [&](int client) {
        const MaskPtr mask = simulation.mask(client);
        return mask ? to_bytes(pack_mask(layout_, mask->words())) : std::vector<std::byte>();
      });
}

void RunWriter::collect_models(ResultFile* file, Simulation& simulation) const {
  collect_rows(
      file, simulation,
      [&](ResultFile& target) {
        target.begin_client_models(layout_, simulation.rank_of_client().size());
      },
      [&](int client) { return to_bytes(pack_model(layout_, simulation.client_model(client))); });
}

void RunWriter::collect_cross(ResultFile* file, Simulation& simulation) const {
  collect_rows(
      file, simulation,
      [&](ResultFile& target) { target.begin_cross(simulation.rank_of_client().size()); },
      [&](int client) { return to_bytes(simulation.cross_accuracy(client)); });
}

void RunWriter::collect_new_clients(ResultFile* file, Simulation& simulation) const {
  const auto records = gather_new_clients(comm_, simulation.new_clients());
  if (file != nullptr && !records.empty()) file->write_new_clients(records);
}

}  // namespace fedselect
