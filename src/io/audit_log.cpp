#include "io/audit_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "base/sha256.hpp"
#include "files/regular_file.hpp"
#include "io/manifest.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kDigits = 64;

std::string hash_of(std::string_view text) { return hex(sha256(std::as_bytes(std::span(text)))); }
std::string hash_of(std::span<const float> values) { return hex(sha256(std::as_bytes(values))); }

[[noreturn]] void refuse(const fs::path& path, std::size_t line, std::string_view what) {
  throw InputError(fmt::format("{}:{}: {}: the log was altered, or is not of this run",
                               path.string(), line, what));
}

/// Throws Json::exception for a fraction too: it may be one that no integer can be made of.
std::int64_t whole_number(const Json& json) {
  return json.get_ref<const Json::number_integer_t&>();
}

AuditEntry parse_entry(const std::string& line) {
  const Json json = Json::parse(line);
  AuditEntry entry{.parent = json.at("parent"),
                   .hash = hash_of(line),
                   .time = json.at("time"),
                   .what = json.at("what"),
                   .rounds = whole_number(json.at("rounds")),
                   .config = json.at("config"),
                   .model = json.value("model", ""),
                   .bytes = whole_number(json.value("bytes", Json(0))),
                   .masks = {},
                   .device = {},
                   .open = json.value("open", false),
                   .from = whole_number(json.value("from", Json(0))),
                   .digest = json.value("digest", ""),
                   .file = json.value("file", ""),
                   .finished = {.result = json.value("result", ""),
                                .metrics = json.value("metrics", ""),
                                .manifest = json.value("manifest", ""),
                                .journal = json.value("journal", "")}};
  if (json.contains("device")) entry.device = json.at("device").get<std::string>();
  for (const Json& change : json.value("masks", Json::array()))
    entry.masks.push_back({whole_number(change.at(0)), whole_number(change.at(1)), change.at(2)});
  return entry;
}

/// The whole lines of a log, and how many bytes they are.
struct Lines {
  std::vector<AuditEntry> entries;
  std::uint64_t bytes = 0;
};

Lines read_lines(const fs::path& path) {
  std::ifstream file = open_regular_file(path);
  if (!file)
    throw InputError(fmt::format("{}: cannot read it: name the folder of a run that holds its log",
                                 path.string()));
  Lines lines;
  std::string line;
  std::string parent(kDigits, '0');
  for (std::size_t number = 1; std::getline(file, line) && !file.eof(); ++number) {
    pulse::beat();
    try {
      lines.entries.push_back(parse_entry(line));
    } catch (const Json::exception&) {
      refuse(path, number, "is no entry");
    }
    if (lines.entries.back().parent != parent)
      refuse(path, number, "does not hold the hash of the line before it");
    parent = lines.entries.back().hash;
    lines.bytes += line.size() + 1;
  }
  return lines;
}

}  // namespace

std::vector<AuditEntry> read_audit_log(const fs::path& path) { return read_lines(path).entries; }

bool logs_checkpoints(std::span<const AuditEntry> entries, std::size_t at) {
  while (at > 0 && entries[at].what != "resume") --at;
  return entries[at].device.has_value();
}

namespace {

/// On which kinds of devices the rounds in force were computed.
class Devices {
 public:
  /// A program begins, or goes on, after so many rounds; `open`: with a part of the next one.
  void go_on(std::int64_t rounds, bool open, const std::string& device) {
    const std::int64_t done = rounds + (open ? 1 : 0);
    while (!parts_.empty() && parts_.back().first > done) parts_.pop_back();
    if (!parts_.empty() && parts_.back().device == device) return;
    parts_.push_back({rounds + 1, open, device});
  }
  /// Two rounds with the same text were computed alike.
  std::string text() const {
    std::string text;
    for (const Part& part : parts_)
      text += fmt::format("{}{} {}\n", part.first, part.open ? "+" : "", part.device);
    return text;
  }

 private:
  struct Part {
    std::int64_t first;  ///< round
    bool open;           ///< of which others computed a part
    std::string device;
  };
  std::vector<Part> parts_;
};

/// The rounds that a log tells of, each behind the one before it: a run that goes back, or on from
/// a version of rounds that it gave up before, leaves one way and takes another.
class Ways {
 public:
  std::int64_t rounds() const { return tip_ == kNone ? 0 : nodes_[tip_].depth; }
  void add(const AuditEntry& round) {
    nodes_.push_back({&round, tip_, rounds() + 1});
    tip_ = nodes_.size() - 1;
  }
  void end_line() { tips_.push_back(tip_); }
  /// To the first `rounds` of those that were in force after so many lines; 0: that are now. False:
  /// there were fewer.
  bool go_back(std::int64_t lines, std::int64_t rounds) {
    if (lines < 0 || lines > static_cast<std::int64_t>(tips_.size())) return false;
    if (lines > 0) tip_ = tips_[static_cast<std::size_t>(lines) - 1];
    if (rounds < 0 || rounds > this->rounds()) return false;
    while (this->rounds() > rounds) tip_ = nodes_[tip_].before;
    return true;
  }
  std::vector<const AuditEntry*> in_force() const {
    std::vector<const AuditEntry*> rounds;
    for (std::size_t at = tip_; at != kNone; at = nodes_[at].before)
      rounds.push_back(nodes_[at].entry);
    std::reverse(rounds.begin(), rounds.end());
    return rounds;
  }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct Node {
    const AuditEntry* entry;
    std::size_t before;
    std::int64_t depth;
  };
  std::vector<Node> nodes_;
  std::size_t tip_ = kNone;
  std::vector<std::size_t> tips_;  ///< after each line
};

}  // namespace

LoggedRounds rounds_of(std::span<const AuditEntry> entries, const fs::path& path) {
  LoggedRounds rounds;
  Ways ways;
  std::map<std::int64_t, Devices> devices;             // after so many lines, where that changed
  using Round = std::pair<std::string, std::int64_t>;  // config, number
  std::map<Round, std::map<std::string, std::string>> models;  // by devices
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const AuditEntry& entry = entries[i];
    const auto line = static_cast<std::int64_t>(i) + 1;
    if (entry.what == "begin") {
      devices[line].go_on(0, false, entry.device.value_or(""));
    } else if (entry.what == "resume") {
      if (!ways.go_back(entry.from, entry.rounds)) refuse(path, i + 1, "goes on after no round");
      if (const auto from = static_cast<std::size_t>(entry.from);
          from > 0 && logs_checkpoints(entries, from - 1) &&
          (entries[from].what != "checkpoint" || entries[from].rounds != entry.rounds))
        refuse(path, i + 1, "goes on from no checkpoint");
      auto before = devices.upper_bound(entry.from > 0 ? entry.from : line);
      Devices now = before == devices.begin() ? Devices() : std::prev(before)->second;
      now.go_on(entry.rounds, entry.open, entry.device.value_or(""));
      devices[line] = std::move(now);
    } else if (entry.what == "round") {
      if (entry.rounds != ways.rounds() + 1) refuse(path, i + 1, "is not the next round");
      ways.add(entry);
      auto& known = models[{entry.config, entry.rounds}];
      const std::string on = devices.empty() ? "" : std::prev(devices.end())->second.text();
      const auto [alike, is_new] = known.try_emplace(on, entry.model);
      if (!is_new && alike->second != entry.model)
        refuse(path, i + 1, "is a round that came out differently before");
      if (std::any_of(known.begin(), known.end(),
                      [&](const auto& other) { return other.second != entry.model; }))
        rounds.differing.insert(entry.rounds);
    }
    ways.end_line();
  }
  rounds.in_force = ways.in_force();
  return rounds;
}

AuditLog::AuditLog(fs::path path, const std::string& config, const std::string& device,
                   std::span<const float> model)
    : file_(RawFile(std::move(path), RawFile::Mode::create)),
      config_(hash_of(config)),
      position_{.entries = 0, .head = std::string(kDigits, '0')} {
  add("begin", 0, {{"model", hash_of(model)}, {"bytes", model.size_bytes()}, {"device", device}});
}

AuditLog::AuditLog(const fs::path& path, const std::string& config, const std::string& device,
                   const AuditResume& resume)
    : config_(hash_of(config)) {
  const auto [entries, whole] = read_lines(path);
  const auto at = static_cast<std::size_t>(resume.position.entries);
  if (at == 0 || entries.size() < at || entries[at - 1].hash != resume.position.head)
    throw InputError(
        fmt::format("{}: is not the log that this run's checkpoint belongs to: put the right one "
                    "back, or start the run again elsewhere",
                    path.string()));
  for (const AuditEntry& entry : std::span(entries).first(at))
    if (entry.device) device_before_ = *entry.device;
  position_ = {.entries = static_cast<std::int64_t>(entries.size()), .head = entries.back().hash};
  file_.emplace(path, RawFile::Mode::append);
  const std::uint64_t size = file_->size();
  if (size > whole) file_->cut(whole);
  add("resume", resume.rounds,
      {{"open", resume.open},
       {"from", resume.position.entries},
       {"cut_bytes", size - whole},
       {"device", device}});
}

void AuditLog::add(const char* what, int rounds, const Json& facts) {
  Json entry{{"parent", position_.head},
             {"time", time_now()},
             {"what", what},
             {"rounds", rounds},
             {"config", config_}};
  entry.update(facts);
  const std::string line = entry.dump();
  file_->append(line + '\n');
  ++position_.entries;
  position_.head = hash_of(line);
}

void AuditLog::add_round(const RoundRecord& round, std::span<const float> model) {
  Json masks = Json::array();
  for (const ClientRecord& record : round.clients)
    if (record.mask_changes > 0)
      masks.push_back({record.client, record.mask_changes, hex(record.mask_hash)});
  add("round", round.round + 1,
      {{"model", hash_of(model)}, {"bytes", model.size_bytes()}, {"masks", std::move(masks)}});
}

void AuditLog::add_checkpoint(int rounds, const std::string& digest) {
  add("checkpoint", rounds, {{"digest", digest}});
}

void AuditLog::add_kept(int rounds, const std::string& file) {
  add("keep", rounds, {{"file", file}});
}

void AuditLog::add_finish(int rounds, const FinishedFiles& files) {
  add("finish", rounds,
      {{"result", files.result},
       {"metrics", files.metrics},
       {"manifest", files.manifest},
       {"journal", files.journal}});
}

}  // namespace fedselect
