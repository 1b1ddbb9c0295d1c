#include "io/run_writer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <exception>
#include <numeric>
#include <optional>
#include <span>
#include <system_error>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "fed/packing.hpp"
#include "files/atomic_file.hpp"
#include "files/file_digest.hpp"
#include "files/raw_file.hpp"
#include "io/manifest.hpp"
#include "io/metrics_csv.hpp"
#include "io/run_folder.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using namespace run_folder;

constexpr int kNothing = -1;  ///< in place of a number of rounds

template <class T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  const auto bytes = bytes_of(values);
  return {bytes.begin(), bytes.end()};
}

/// The journal with the rounds before a checkpoint: journal.bin, or one that was kept when the run
/// went back.
fs::path find_journal(const fs::path& folder, const fs::path& checkpoint,
                      const CheckpointHeader& header, const JournalBounds& bounds) {
  for (const fs::path& path : find_journals(folder)) {
    const auto rounds = RoundJournal::count(path, header.journal, bounds);
    if (!rounds) continue;
    require(*rounds == static_cast<std::size_t>(header.rounds),
            fmt::format("{}: says that {} rounds are complete, but {} has {} before it: resume "
                        "from the run's other checkpoint, or start the run again elsewhere",
                        checkpoint.string(), header.rounds,
                        path.lexically_relative(folder).string(), *rounds));
    return path;
  }
  throw InputError(fmt::format(
      "{}: does not belong to this checkpoint, or is damaged: start the run again elsewhere",
      (folder / kJournal).string()));
}

}  // namespace

CheckpointHeader read_header(const fs::path& folder, const fs::path& checkpoint,
                             const JournalBounds& bounds) {
  CheckpointHeader header = Checkpoint(checkpoint).header();
  find_journal(folder, checkpoint, header, bounds);
  return header;
}

void require_logged(const fs::path& folder, const AuditPosition& position) {
  const auto entries = read_audit_log(folder / kAudit);
  const auto at = static_cast<std::size_t>(position.entries);
  require(at > 0 && at <= entries.size() && entries[at - 1].hash == position.head,
          fmt::format("{}: is not the log that this run's checkpoint belongs to: put the right one "
                      "back, or start the run again elsewhere",
                      (folder / kAudit).string()));
}

RunWriter::RunWriter(fs::path folder, RunDescription description, const Network& network,
                     Communicator& comm, Simulation& simulation)
    : folder_(std::move(folder)),
      description_(std::move(description)),
      network_(network),
      layout_(network.layout()),
      comm_(comm),
      simulation_(simulation) {
  agree(comm_, [&] {
    if (comm_.is_root()) create_folder();
  });
}

RunWriter::RunWriter(fs::path folder, RunDescription description, const Network& network,
                     Communicator& comm, Simulation& simulation, const Accept& accept,
                     std::optional<int> from_round)
    : folder_(std::move(folder)),
      description_(std::move(description)),
      network_(network),
      layout_(network.layout()),
      comm_(comm),
      simulation_(simulation),
      from_round_(from_round) {
  std::vector<std::string> damages;
  rounds_done_ = kNothing;
  for (const fs::path& checkpoint : find_checkpoints()) {
    const auto damage = try_restore(checkpoint, accept);
    if (damage.empty() && !damages.empty())
      note_ =
          fmt::format("warning: went back to {}, because {}", checkpoint.string(), damages.front());
    if (damage.empty()) break;
    damages.push_back(damage);
    rounds_done_ = kNothing;
  }
  require(rounds_done_ != kNothing, fmt::format("{}", fmt::join(damages, "\n")));
  agree(comm_, [&] {
    if (comm_.is_root()) take_up_folder();
  });
}

/// Collective: those that the root sees, the newest first, or the version that was asked for. A run
/// killed while the files changed their names has the previous one only.
std::vector<fs::path> RunWriter::find_checkpoints() const {
  if (from_round_) return {folder_ / version_name(*from_round_)};
  std::vector<int> present;
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    for (const char* name : {kCheckpoint, kPreviousCheckpoint})
      present.push_back(holds(folder_, name) ? 1 : 0);
  });
  present = gather_on_all(comm_, present);
  std::vector<fs::path> found;
  if (present[0] != 0) found.push_back(folder_ / kCheckpoint);
  if (present[1] != 0) found.push_back(folder_ / kPreviousCheckpoint);
  return found;
}

namespace {

/// Collective: what is wrong with a file, by the InputError that `read` throws on any rank; empty:
/// nothing.
std::string find_damage(Communicator& comm, const std::function<void()>& read) {
  try {
    agree(comm, read);
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

}  // namespace

/// Collective. Returns what is wrong with the file; throws if this run may not go on from it.
std::string RunWriter::try_restore(const fs::path& checkpoint, const Accept& accept) {
  std::optional<Checkpoint> stored;
  if (auto damage = find_damage(comm_, [&] { stored.emplace(checkpoint); }); !damage.empty())
    return damage;
  const CheckpointHeader& header = stored->header();
  if (auto damage = find_damage(comm_,
                                [&] {
                                  if (comm_.is_root())
                                    taken_up_.journal =
                                        find_journal(folder_, checkpoint, header, bounds());
                                });
      !damage.empty())
    return damage;
  agree(comm_, [&] { accept(header); });
  rounds_done_ = header.rounds;
  taken_up_.checkpoint = checkpoint;
  taken_up_.header = header;
  return find_damage(comm_, [&] { stored->restore(simulation_); });
}

void RunWriter::take_up_folder() {
  const CheckpointHeader& header = taken_up_.header;
  const bool has_journal = taken_up_.journal == folder_ / kJournal;
  if (from_round_) {
    require_logged(folder_, header.audit);
    if (holds(folder_, kJournal) &&
        (!has_journal || fs::file_size(folder_ / kJournal) > header.journal.bytes))
      keep_journal(folder_, *from_round_);
    roll_back(folder_, *from_round_);  // before the log says so: it can go on from here
  } else if (taken_up_.checkpoint != folder_ / kCheckpoint) {
    // The other one is damaged, or not there: it must not become the previous one.
    if (holds(folder_, kCheckpoint))
      rename_file(folder_ / kCheckpoint, folder_ / kDamagedCheckpoint);
    rename_file(taken_up_.checkpoint, folder_ / kCheckpoint);
  }
  if (!has_journal) take_journal(folder_, taken_up_.journal);
  journal_.emplace(folder_ / kJournal, header.journal, bounds());
  audit_.emplace(folder_ / kAudit, description_.config, description_.device,
                 AuditResume{header.audit, header.rounds, header.round_is_open});
  note_device();
  journal_->drop_rest();
  std::string metrics = kMetricsHeader;
  each_round([&](const JournalEntry& entry) {
    metrics += metrics_row(layout_, entry.round, entry.seconds);
    seconds_before_ += entry.seconds;
  });
  description_.manifest = resume_manifest(folder_ / kManifest, description_.manifest, rounds_done_);
  // What has a result is finished: this run is not, once its config is the new one.
  if (holds(folder_, kResult)) rename_file(folder_ / kResult, folder_ / kPreviousResult);
  replace_file(folder_ / kMetrics, metrics);
  replace_file(folder_ / kConfig, description_.config);
  replace_file(folder_ / kManifest, description_.manifest);
  metrics_.emplace(folder_ / kMetrics, RawFile::Mode::append);
}

/// Bits are promised on one kind of device only.
void RunWriter::note_device() {
  const std::string& before = audit_->device_before();
  if (before.empty() || before == description_.device) return;
  note_ += fmt::format(
      "{}warning: goes on on {}, and was computed on {} before: another kind of device rounds in "
      "another way, so what comes agrees with an unbroken run to rounding only",
      note_.empty() ? "" : "\n", description_.device, printable(before));
}

void RunWriter::create_folder() {
  create(folder_);
  require_unused(folder_);
  try {
    replace_file(folder_ / kConfig, description_.config);
    replace_file(folder_ / kManifest, description_.manifest);
    journal_.emplace(folder_ / kJournal);
    audit_.emplace(folder_ / kAudit, description_.config, description_.device, packed_model());
    metrics_.emplace(folder_ / kMetrics, RawFile::Mode::create);
    metrics_->append(kMetricsHeader);
  } catch (
      const SystemError& failure) {  // nothing is lost yet: the user has to choose a better place
    throw InputError(failure.what());
  }
}

void RunWriter::add(const RoundRecord& round, double seconds) {
  rounds_done_ = round.round + 1;
  if (!comm_.is_root()) return;
  journal_->add(round, seconds);
  audit_->add_round(round, packed_model());
  metrics_->append(metrics_row(layout_, round, seconds));
}

void RunWriter::each_round(const std::function<void(const JournalEntry&)>& visit) const {
  const fs::path path = folder_ / kJournal;
  const std::size_t found = RoundJournal::read(path, bounds(), visit);
  if (found != static_cast<std::size_t>(rounds_done_))
    throw SystemError(fmt::format("{}: has {} of {} rounds now, and had all: go on with --resume",
                                  path.string(), found, rounds_done_));
}

std::vector<float> RunWriter::packed_model() const {
  return pack_model(layout_, simulation_.global_model());
}

void RunWriter::checkpoint(bool keep) {
  CheckpointHeader header{.rounds = rounds_done_,
                          .config = description_.config,
                          .data_hash = description_.data_hash,
                          .journal = {},
                          .audit = {}};
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    header.journal = journal_->sync();
    audit_->sync();
    header.audit = audit_->position();
  });
  write_checkpoint(folder_ / kCheckpoint, folder_ / kPreviousCheckpoint, header, simulation_, comm_,
                   [&](const std::string& digest) {
                     audit_->add_checkpoint(rounds_done_, digest);
                     audit_->sync();
                   });
  if (!keep) return;
  agree(comm_, [&] {
    if (comm_.is_root()) audit_->add_kept(rounds_done_, keep_version(folder_, rounds_done_));
  });
}

void RunWriter::finish(const Dataset& data, const Partition& partition) {
  std::optional<ResultFile> file;
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    file.emplace(folder_ / kResult);
    write_parts(*file, data, partition);
  });
  ResultFile* target = file ? &*file : nullptr;
  if (description_.masks) agree(comm_, [&] { collect_masks(target); });
  if (description_.client_models) agree(comm_, [&] { collect_models(target); });
  if (description_.cross) agree(comm_, [&] { collect_cross(target); });
  agree(comm_, [&] { collect_new_clients(target); });
  agree(comm_, [&] {
    if (comm_.is_root()) seal(*file);
  });
}

void RunWriter::seal(ResultFile& file) {
  const std::chrono::duration<double> now = std::chrono::steady_clock::now() - start_;
  const PhaseSeconds tail = simulation_.clock().take();  // since the last round was measured
  const std::string manifest =
      complete_manifest(description_.manifest, seconds_before_ + now.count(),
                        std::accumulate(tail.begin(), tail.end(), 0.0));
  replace_file(folder_ / kManifest, manifest);
  const std::string result = hex(file.close());
  metrics_->sync();
  journal_->sync();
  audit_->add_finish(rounds_done_, {.result = result,
                                    .metrics = hex(sha256_of_file(folder_ / kMetrics)),
                                    .manifest = hex(sha256(std::as_bytes(std::span(manifest)))),
                                    .journal = hex(sha256_of_file(folder_ / kJournal))});
  audit_->sync();
  file.commit();  // last: what has a result is finished
  std::error_code ignored;
  fs::remove(folder_ / kPreviousResult, ignored);
}

void RunWriter::write_parts(ResultFile& file, const Dataset& data,
                            const Partition& partition) const {
  const std::size_t clients = partition.clients();
  const auto rounds = static_cast<std::size_t>(rounds_done_);
  file.write_header(description_, data.name, rounds, clients, network_);
  file.write_rounds(
      {.rounds = rounds, .tensors = layout_.tensors().size(), .target = description_.target},
      partition, [&](const auto& visit) {
        each_round([&](const JournalEntry& entry) { visit(entry.round); });
      });
  file.write_layout(layout_);
  const auto model = simulation_.global_model();
  file.write_model(layout_, std::span<const float>(model));
  file.write_clients(partition, data);
  file.write_provenance(description_.manifest);
  file.write_hosts(simulation_.rank_of_client());
}

/// One row at a time, in client order: its client's rank sends it, the root writes it. A rank that
/// fails still sends and takes what the others wait for, so that none of them waits for ever; then
/// it throws.
void RunWriter::collect_rows(ResultFile* file, const std::function<void(ResultFile&)>& begin,
                             const RowOfClient& own) const {
  const auto& rank_of = simulation_.rank_of_client();
  std::exception_ptr failure;
  const auto guarded = [&](const auto& work) {
    if (failure) return;
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  if (file != nullptr) guarded([&] { begin(*file); });
  for (std::size_t k = 0; k < rank_of.size(); ++k) {
    std::vector<std::byte> row;
    if (rank_of[k] == comm_.rank())
      guarded([&] { row = own(static_cast<int>(k)); });
    else if (file != nullptr)
      row = comm_.receive(rank_of[k]);
    else
      continue;
    if (file != nullptr)
      guarded([&] { file->add_row(row); });
    else
      comm_.send(row, 0);
  }
  if (failure) std::rethrow_exception(failure);
}

void RunWriter::collect_masks(ResultFile* file) const {
  collect_rows(
      file,
      [&](ResultFile& target) { target.begin_masks(layout_, simulation_.rank_of_client().size()); },
      [&](int client) {
        const MaskPtr mask = simulation_.mask(client);
        return mask ? to_bytes(pack_mask(layout_, mask->words())) : std::vector<std::byte>();
      });
}

void RunWriter::collect_models(ResultFile* file) const {
  collect_rows(
      file,
      [&](ResultFile& target) {
        target.begin_client_models(layout_, simulation_.rank_of_client().size());
      },
      [&](int client) { return to_bytes(pack_model(layout_, simulation_.client_model(client))); });
}

void RunWriter::collect_cross(ResultFile* file) const {
  collect_rows(
      file, [&](ResultFile& target) { target.begin_cross(simulation_.rank_of_client().size()); },
      [&](int client) { return to_bytes(simulation_.cross_accuracy(client)); });
}

void RunWriter::collect_new_clients(ResultFile* file) const {
  const auto records = gather_new_clients(comm_, simulation_.new_clients());
  if (file != nullptr && !records.empty()) file->write_new_clients(records);
}

}  // namespace fedselect
