#include "io/verify_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <system_error>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "fed/packing.hpp"
#include "files/hdf5_reader.hpp"
#include "io/audit_log.hpp"
#include "io/checkpoint.hpp"
#include "io/checkpoint_parts.hpp"
#include "io/run_folder.hpp"
#include "io/stored_layout.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using namespace run_folder;

constexpr const char* kRemedy = "name the folder of a run of fedselect";
constexpr std::size_t kMaskDigits = 32;

[[noreturn]] void contradict(const fs::path& file, std::string_view what) {
  throw InputError(fmt::format("{}: {}: the file or the log was altered, or comes from another run",
                               file.string(), what));
}

template <class T>
std::string hash_of(const std::vector<T>& values) {
  return hex(sha256(std::as_bytes(std::span<const T>(values))));
}

/// What a log says of the model and the masks at one of its entries.
class LoggedState {
 public:
  LoggedState(std::span<const AuditEntry> entries, const fs::path& log)
      : begin_(entries.front()), rounds_(rounds_in_force(entries, log)) {
    for (const AuditEntry* round : rounds_)
      for (const MaskChange& change : round->masks) masks_[change.client] = change.mask;
  }
  std::int64_t rounds() const { return static_cast<std::int64_t>(rounds_.size()); }
  const std::string& model() const {
    return rounds_.empty() ? begin_.model : rounds_.back()->model;
  }
  /// Of a mask as pack_mask() has it: whether it is the client's.
  bool is_mask_of(std::int64_t client, const std::vector<std::uint8_t>& packed) const {
    const auto logged = masks_.find(client);
    if (logged == masks_.end())
      return std::all_of(packed.begin(), packed.end(), [](auto byte) { return byte == 0; });
    return hash_of(packed).substr(0, kMaskDigits) == logged->second;
  }

 private:
  const AuditEntry& begin_;
  std::vector<const AuditEntry*> rounds_;
  std::map<std::int64_t, std::string> masks_;
};

/// The masks of a checkpoint, packed.
class CheckpointMasks {
 public:
  CheckpointMasks(const hdf5::Reader& file, const ParameterLayout& layout)
      : file_(file),
        layout_(layout),
        clients_(file.read<std::int32_t>("/clients/id")),
        rows_(file.read<std::int64_t>("/clients/mask")) {
    if (rows_.size() != clients_.size()) file.refuse("/clients/mask", "has not a row a client");
    const hdf5::Shape shape = file.shape("/masks");
    if (shape.size() != 2 || shape[1] != layout.words())
      file.refuse("/masks", "is not of the size that /layout says");
    stored_ = static_cast<std::int64_t>(shape[0]);
  }
  std::size_t count() const { return clients_.size(); }
  std::int64_t client(std::size_t i) const { return clients_[i]; }
  std::vector<std::uint8_t> packed(std::size_t i) const {
    const std::vector<Word> nothing(layout_.words());
    if (rows_[i] == checkpoint::kNoRow) return pack_mask(layout_, nothing);
    if (rows_[i] < 0 || rows_[i] >= stored_)
      file_.refuse("/clients/mask", "names no row of /masks");
    return pack_mask(layout_, file_.read_rows<Word>("/masks", static_cast<hsize_t>(rows_[i]), 1));
  }

 private:
  const hdf5::Reader& file_;
  const ParameterLayout& layout_;
  std::vector<std::int32_t> clients_;
  std::vector<std::int64_t> rows_;
  std::int64_t stored_ = 0;
};

/// Clients whose masks an open round has changed already.
std::set<std::int64_t> clients_of_open_round(const hdf5::Reader& file, std::size_t clients_in_all) {
  std::set<std::int64_t> clients;
  if (file.integer_attribute("round_is_open") == 0) return clients;
  for (const ClientRecord& record : checkpoint::read_records(file, clients_in_all))
    clients.insert(record.client);
  return clients;
}

std::string verify_checkpoint(const fs::path& path, std::span<const AuditEntry> entries,
                              const fs::path& log) {
  const Checkpoint checkpoint(path);
  const CheckpointHeader& header = checkpoint.header();
  const auto at = static_cast<std::size_t>(header.audit.entries);
  if (at == 0 || at > entries.size() || entries[at - 1].hash != header.audit.head)
    contradict(path, "was not written when the log stood where it says");
  const LoggedState state(entries.first(at), log);
  if (state.rounds() != header.rounds) contradict(path, "is of another round than the log says");
  const hdf5::Reader file(path, kRemedy);
  const StoredLayout layout = read_layout(file);
  if (hash_of(read_packed_model(file, layout)) != state.model())
    contradict(path, "holds another model than the log says");
  const ParameterLayout padded = layout.padded();
  const CheckpointMasks masks(file, padded);
  const auto open = clients_of_open_round(file, masks.count());
  for (std::size_t i = 0; i < masks.count(); ++i)
    if (!open.contains(masks.client(i)) && !state.is_mask_of(masks.client(i), masks.packed(i)))
      contradict(path,
                 fmt::format("holds another mask of client {} than the log says", masks.client(i)));
  return fmt::format("{}: model and masks after round {} are those of the log",
                     path.filename().string(), header.rounds);
}

std::string verify_result(const fs::path& run, std::span<const AuditEntry> entries) {
  const fs::path path = run / kResult;
  const AuditEntry& last = entries.back();
  if (last.what != "finish") contradict(path, "is there, but the log does not end with it");
  if (hex(sha256_of_file(path)) != last.result)
    contradict(path, "is not what the run finished with");
  if (hex(sha256_of_file(run / kMetrics)) != last.metrics)
    contradict(run / kMetrics, "is not what the run finished with");
  const LoggedState state(entries, run / kAudit);
  const hdf5::Reader file(path, kRemedy);
  if (hash_of(read_result_model(file, read_layout(file))) != state.model())
    contradict(path, "holds another model than the log says");
  if (!file.exists("/masks/bits"))
    return fmt::format("{} and {}: as the run finished with them", kResult, kMetrics);
  const hsize_t clients = file.rows("/masks/bits");
  for (hsize_t k = 0; k < clients; ++k)
    if (!state.is_mask_of(static_cast<std::int64_t>(k),
                          file.read_rows<std::uint8_t>("/masks/bits", k, 1)))
      contradict(path, fmt::format("holds another mask of client {} than the log says", k));
  return fmt::format(
      "{} and {}: as the run finished with them; model and masks are those of the log", kResult,
      kMetrics);
}

/// Those that are there, the newest last.
std::vector<fs::path> find_checkpoints(const fs::path& run, std::span<const AuditEntry> entries) {
  std::set<fs::path> paths{run / kPreviousCheckpoint, run / kCheckpoint};
  for (const AuditEntry& entry : entries)
    if (entry.what == "keep") paths.insert(run / version_name(static_cast<int>(entry.rounds)));
  std::vector<fs::path> found;
  std::error_code error;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(found),
               [&](const fs::path& path) { return fs::exists(path, error); });
  return found;
}

}  // namespace

std::vector<std::string> verify_run(const fs::path& run, const std::string& head) {
  const fs::path log = run / kAudit;
  const auto entries = read_audit_log(log);
  if (entries.empty() || entries.front().what != "begin")
    contradict(log, "does not begin with the beginning of a run");
  std::vector<std::string> found;
  found.push_back(
      fmt::format("{}: {} entries, each with the hash of the one before", kAudit, entries.size()));
  if (!head.empty() &&
      std::none_of(entries.begin(), entries.end(), [&](const auto& e) { return e.hash == head; }))
    contradict(log, fmt::format("never had the head {}", head));
  if (hex(sha256_of_file(run / kConfig)) != entries.back().config)
    contradict(run / kConfig, "is not the config of the log");
  found.push_back(fmt::format("{}: the one of the log", kConfig));
  const LoggedState state(entries, log);
  found.push_back(
      fmt::format("rounds 1 to {}: none is missing, none came out differently when it "
                  "was computed again",
                  state.rounds()));
  for (const fs::path& path : find_checkpoints(run, entries))
    found.push_back(verify_checkpoint(path, entries, log));
  std::error_code error;
  if (fs::exists(run / kResult, error)) found.push_back(verify_result(run, entries));
  found.push_back(fmt::format("head {}", entries.back().hash));
  return found;
}

}  // namespace fedselect
