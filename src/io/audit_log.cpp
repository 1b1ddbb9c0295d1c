#include "io/audit_log.hpp"

#include <fmt/format.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "base/sha256.hpp"
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
                   .file = json.value("file", ""),
                   .result = json.value("result", ""),
                   .metrics = json.value("metrics", "")};
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
  std::ifstream file(path, std::ios::binary);
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

std::vector<const AuditEntry*> rounds_in_force(std::span<const AuditEntry> entries,
                                               const fs::path& path) {
  std::vector<const AuditEntry*> rounds;
  std::map<std::pair<std::string, std::int64_t>, std::string> models;  // of (config, rounds)
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const AuditEntry& entry = entries[i];
    const auto done = static_cast<std::int64_t>(rounds.size());
    if (entry.what == "resume") {
      if (entry.rounds < 0 || entry.rounds > done) refuse(path, i + 1, "goes on after no round");
      rounds.resize(static_cast<std::size_t>(entry.rounds));
    } else if (entry.what == "round") {
      if (entry.rounds != done + 1) refuse(path, i + 1, "is not the next round");
      rounds.push_back(&entry);
      const auto [known, is_new] = models.try_emplace({entry.config, entry.rounds}, entry.model);
      if (!is_new && known->second != entry.model)
        refuse(path, i + 1, "is a round that came out differently before");
    }
  }
  return rounds;
}

AuditLog::AuditLog(fs::path path, const std::string& config, std::span<const float> model)
    : file_(RawFile(std::move(path), RawFile::Mode::create)),
      config_(hash_of(config)),
      position_{.entries = 0, .head = std::string(kDigits, '0')} {
  add("begin", 0, {{"model", hash_of(model)}, {"bytes", model.size_bytes()}});
}

AuditLog::AuditLog(const fs::path& path, const std::string& config, const AuditPosition& position,
                   int rounds)
    : config_(hash_of(config)) {
  const auto [entries, whole] = read_lines(path);
  const auto at = static_cast<std::size_t>(position.entries);
  if (at == 0 || entries.size() < at || entries[at - 1].hash != position.head)
    throw InputError(
        fmt::format("{}: is not the log that this run's checkpoint belongs to: put the right one "
                    "back, or start the run again elsewhere",
                    path.string()));
  position_ = {.entries = static_cast<std::int64_t>(entries.size()), .head = entries.back().hash};
  file_.emplace(path, RawFile::Mode::append);
  const std::uint64_t size = file_->size();
  if (size > whole) file_->cut(whole);
  add("resume", rounds, {{"cut_bytes", size - whole}});
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

void AuditLog::add_kept(int rounds, const std::string& file) {
  add("keep", rounds, {{"file", file}});
}

void AuditLog::add_finish(int rounds, const std::string& result, const std::string& metrics) {
  add("finish", rounds, {{"result", result}, {"metrics", metrics}});
}

}  // namespace fedselect
