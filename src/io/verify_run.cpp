#include "io/verify_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <system_error>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/sha256.hpp"
#include "fed/packing.hpp"
#include "files/file_digest.hpp"
#include "files/hdf5_reader.hpp"
#include "files/raw_file.hpp"
#include "io/audit_log.hpp"
#include "io/checkpoint.hpp"
#include "io/checkpoint_parts.hpp"
#include "io/round_journal.hpp"
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

std::string hash_of_file(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) contradict(file, "is not there, and the log tells of it");
  return hex(sha256_of_file(file));
}

template <class T>
std::string hash_of(const std::vector<T>& values) {
  return hex(sha256(std::as_bytes(std::span<const T>(values))));
}

/// What a log says of the model and the masks at one of its entries.
class LoggedState {
 public:
  LoggedState(std::span<const AuditEntry> entries, const fs::path& log)
      : begin_(entries.front()), rounds_(rounds_of(entries, log).in_force) {
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

/// The number of X in "versions/round-X.h5"; none if it is another name.
std::optional<int> rounds_of_version(const std::string& name) {
  int rounds = 0;
  const std::size_t digits = name.find_first_of("0123456789");
  if (digits == std::string::npos) return std::nullopt;
  std::from_chars(name.data() + digits, name.data() + name.size(), rounds);
  return name == version_name(rounds) ? std::optional(rounds) : std::nullopt;
}

/// That it is one that the log tells of. `at`: lines that stood there when it was written.
void verify_bytes(const fs::path& run, const std::string& name, std::size_t at,
                  std::span<const AuditEntry> entries) {
  if (logs_checkpoints(entries, at - 1)) {
    if (at == entries.size() || entries[at].what != "checkpoint" ||
        entries[at].digest != digest_of_file(run / name))
      contradict(run / name, "is not the checkpoint that the log tells of");
  } else if (rounds_of_version(name)) {
    if (std::none_of(entries.begin(), entries.end(),
                     [&](const auto& e) { return e.what == "keep" && e.file == name; }))
      contradict(run / name, "is no version that the log tells of");
  }
}

std::string verify_checkpoint(const fs::path& run, const std::string& name,
                              std::span<const AuditEntry> entries) {
  const fs::path path = run / name;
  const Checkpoint checkpoint(path);
  const CheckpointHeader& header = checkpoint.header();
  if (const auto rounds = rounds_of_version(name)) require_rounds(path, header, *rounds);
  if (header.audit.entries <= 0 ||
      static_cast<std::uint64_t>(header.audit.entries) > entries.size())
    contradict(path, "was not written when the log stood where it says");
  const auto at = static_cast<std::size_t>(header.audit.entries);
  if (entries[at - 1].hash != header.audit.head)
    contradict(path, "was not written when the log stood where it says");
  verify_bytes(run, name, at, entries);
  const LoggedState state(entries.first(at), run / kAudit);
  if (state.rounds() != header.rounds) contradict(path, "is of another round than the log says");
  const hdf5::Reader file(path, kRemedy);
  const StoredLayout layout = read_layout(file);
  // The log has the model of a merged round once its test is done, and until then every byte.
  if (header.round_is_merged && !logs_checkpoints(entries, at - 1))
    contradict(path, "is of a program that logs its checkpoints, and the log has none of it");
  if (!header.round_is_merged && hash_of(read_packed_model(file, layout)) != state.model())
    contradict(path, "holds another model than the log says");
  const ParameterLayout padded = layout.padded();
  const CheckpointMasks masks(file, padded);
  const auto open = clients_of_open_round(file, masks.count());
  for (std::size_t i = 0; i < masks.count(); ++i)
    if (!open.contains(masks.client(i)) && !state.is_mask_of(masks.client(i), masks.packed(i)))
      contradict(path,
                 fmt::format("holds another mask of client {} than the log says", masks.client(i)));
  return fmt::format("{}: {} after round {} are those of the log{}", name,
                     header.round_is_merged ? "masks" : "model and masks", header.rounds,
                     logs_checkpoints(entries, at - 1) ? ", and so is every byte of it" : "");
}

/// That of a finished run: the log ends with it.
std::string verify_result(const fs::path& run, std::span<const AuditEntry> entries) {
  const fs::path path = run / kResult;
  std::error_code error;
  if (!fs::exists(path, error))
    throw InputError(
        fmt::format("{}: is not there, though the log ends with it: it was removed, or the program "
                    "was killed at the last instant: fedselect run --resume makes it again where "
                    "there is a checkpoint",
                    path.string()));
  const FinishedFiles& logged = entries.back().finished;
  const auto verify = [&](const char* name, const std::string& hash) {
    if (hash_of_file(run / name) != hash)
      contradict(run / name, "is not what the run finished with");
  };
  verify(kResult, logged.result);
  verify(kMetrics, logged.metrics);
  if (!logged.manifest.empty()) verify(kManifest, logged.manifest);
  if (!logged.journal.empty() && fs::exists(run / kJournal, error))
    verify(kJournal, logged.journal);
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

/// What stands in the folder of an older state: checkpoints, and results that other rounds
/// followed.
struct OldFiles {
  std::vector<std::string> checkpoints;  ///< the newest first, then versions
  std::vector<std::string> results;
};

OldFiles find_old_files(const fs::path& run) {
  constexpr std::string_view kResultBefore = "result-before-";
  OldFiles found;
  std::error_code error;
  for (const char* name : {kCheckpoint, kPreviousCheckpoint})
    if (fs::exists(run / name, error)) found.checkpoints.emplace_back(name);
  if (fs::exists(run / kPreviousResult, error)) found.results.emplace_back(kPreviousResult);
  std::set<std::pair<int, std::string>> versions;
  for (const auto& entry : fs::directory_iterator(run / kVersions, error)) {
    const std::string file = entry.path().filename().string();
    const std::string name = std::string(kVersions) + "/" + file;
    if (const auto rounds = rounds_of_version(name)) versions.emplace(*rounds, name);
    if (file.starts_with(kResultBefore) && entry.path().extension() == ".h5")
      found.results.push_back(name);
  }
  for (const auto& [rounds, name] : versions) found.checkpoints.push_back(name);
  return found;
}

std::string verify_old_result(const fs::path& run, const std::string& name,
                              std::span<const AuditEntry> entries) {
  const std::string hash = hash_of_file(run / name);
  if (std::none_of(entries.begin(), entries.end(), [&](const AuditEntry& entry) {
        return entry.what == "finish" && entry.finished.result == hash;
      }))
    contradict(run / name, "is no result that the run ever finished with");
  return fmt::format("{}: as the run finished with it before", name);
}

/// Of what a run would go on from: it names so many bytes of the journal and their fingerprint. Not
/// so a version: a run that went back writes another journal behind it.
void verify_journal(const fs::path& run, const std::string& checkpoint) {
  constexpr std::uint64_t kBuffer = std::uint64_t{1} << 20;
  const JournalPosition position = Checkpoint(run / checkpoint).header().journal;
  const fs::path path = run / kJournal;
  std::error_code error;
  if (!fs::exists(path, error)) contradict(path, "is not there, and the run goes on from it");
  RawFile journal(path, RawFile::Mode::read);
  const auto refuse = [&] { contradict(path, fmt::format("does not belong to {}", checkpoint)); };
  if (journal.size() < position.bytes) refuse();
  Hash hash;
  std::vector<std::byte> buffer(kBuffer);
  for (std::uint64_t at = 0; at < position.bytes; at += kBuffer) {
    const auto part = std::span(buffer).first(std::min(kBuffer, position.bytes - at));
    journal.read_at(at, part);
    hash.add_bytes(part);
  }
  if (hash.value() != position.hash) refuse();
}

void verify_head(std::span<const AuditEntry> entries, const fs::path& log,
                 const std::string& head) {
  if (head.empty() || entries.back().hash == head) return;
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const AuditEntry& entry) { return entry.hash == head; });
  if (found == entries.end()) contradict(log, fmt::format("never had the head {}", head));
  throw InputError(fmt::format(
      "{}: the head {} is that of line {}, and {} lines follow it: the run went on since, or "
      "somebody added them: verify without --head, look at what was added with fedselect history, "
      "and note the head that it has now",
      log.string(), head, found - entries.begin() + 1, entries.end() - found - 1));
}

std::string describe_rounds(const LoggedRounds& rounds) {
  const std::string all = fmt::format("rounds 1 to {}: none is missing, ", rounds.in_force.size());
  if (rounds.differing.empty()) return all + "none came out differently when it was computed again";
  return all + fmt::format(
                   "none came out differently when it was computed again on the same kind of "
                   "device; on another kind, which rounds in another way, these did: {}",
                   fmt::join(rounds.differing, ", "));
}

/// "computed on cpu (avx2), from round 6 cpu (avx512)"; empty: on one kind, or the log doesn't say.
std::string describe_devices(std::span<const AuditEntry> entries) {
  std::string text;
  const std::string* before = nullptr;
  bool differ = false;
  for (const AuditEntry& entry : entries) {
    if (!entry.device || (before != nullptr && *before == *entry.device)) continue;
    differ = before != nullptr;
    text += differ ? fmt::format(", from round {} on {}", entry.rounds + 1, *entry.device)
                   : fmt::format("computed on {}", *entry.device);
    before = &*entry.device;
  }
  if (!differ) return {};
  return text + ": kinds of devices agree with each other to rounding only";
}

}  // namespace

bool is_version_name(const std::string& name) { return rounds_of_version(name).has_value(); }

std::vector<std::string> verify_run(const fs::path& run, const std::string& head) {
  const fs::path log = run / kAudit;
  const auto entries = read_audit_log(log);
  if (entries.empty() || entries.front().what != "begin")
    contradict(log, "does not begin with the beginning of a run");
  std::vector<std::string> found;
  found.push_back(
      fmt::format("{}: {} entries, each with the hash of the one before", kAudit, entries.size()));
  verify_head(entries, log, head);
  if (hash_of_file(run / kConfig) != entries.back().config)
    contradict(run / kConfig, "is not the config of the log");
  found.push_back(fmt::format("{}: the one of the log", kConfig));
  found.push_back(describe_rounds(rounds_of(entries, log)));
  if (auto devices = describe_devices(entries); !devices.empty())
    found.push_back(std::move(devices));
  const OldFiles old = find_old_files(run);
  for (const std::string& name : old.checkpoints) {
    found.push_back(verify_checkpoint(run, name, entries));
    if (!is_version_name(name)) verify_journal(run, name);
  }
  for (const std::string& name : old.results)
    found.push_back(verify_old_result(run, name, entries));
  std::error_code error;
  if (entries.back().what == "finish")
    found.push_back(verify_result(run, entries));
  else if (fs::exists(run / kResult, error))
    contradict(run / kResult, "is there, but the log does not end with it");
  found.push_back(fmt::format("head {}", entries.back().hash));
  return found;
}

}  // namespace fedselect
