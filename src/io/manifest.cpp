#include "io/manifest.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/build_info.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 2;

/// Text for a file; bytes that are not UTF-8 (a command line may hold any) become replacement
/// characters.
std::string dump(const Json& json) {
  return json.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Of what may be no JSON: then it is no object.
template <class Source>
Json parse(Source&& source) {
  constexpr int kDeepest = 16;  // deeper lists would only fill the stack
  return Json::parse(
      std::forward<Source>(source),
      [](int depth, Json::parse_event_t, Json&) { return depth < kDeepest; }, false);
}

/// [{"name": "n1", "ranks": [0, 1]}, ...], hosts in the order of their first rank.
Json describe_hosts(Communicator& comm) {
  Json hosts = Json::array();
  const auto names = comm.host_names();
  for (std::size_t rank = 0; rank < names.size(); ++rank) {
    const auto same = [&](const Json& host) { return host["name"] == names[rank]; };
    auto host = std::find_if(hosts.begin(), hosts.end(), same);
    if (host == hosts.end()) {
      hosts.push_back({{"name", names[rank]}, {"ranks", Json::array()}});
      host = hosts.end() - 1;
    }
    (*host)["ranks"].push_back(rank);
  }
  return hosts;
}

}  // namespace

std::string time_now() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), (now - seconds).count());
}

std::string make_manifest(Communicator& comm, const std::string& device,
                          const std::vector<std::string>& command) {
  const BuildInfo& build = build_info();
  Json json;
  json["program"] = "fedselect";
  json["version"] = build.version;
  json["git_revision"] = build.revision;
  json["git_modified"] = build.modified;
  json["compiler"] = build.compiler;
  json["flags"] = build.flags;
  json["build_type"] = build.build_type;
  for (const auto& library : build.libraries)
    json["libraries"][std::string(library.name)] = library.version;
  json["libraries"]["MPI"] = mpi_library();
  json["command"] = command;
  json["device"] = device;
  json["ranks"] = comm.size();
  json["hosts"] = describe_hosts(comm);
  json["start"] = time_now();
  return dump(json);
}

Provenance read_provenance(const std::string& manifest) {
  const Json json = parse(manifest);
  if (!json.is_object()) return {};
  Provenance provenance;
  for (const char* key : {"program", "version", "git_revision", "git_modified", "compiler", "flags",
                          "build_type", "libraries"})
    provenance.program += json.value(key, Json()).dump() + "\n";
  if (const Json device = json.value("device", Json()); device.is_string())
    provenance.device = device.get<std::string>();
  for (const Json& word : json.value("command", Json::array()))
    if (word.is_string()) provenance.command.push_back(word.get<std::string>());
  return provenance;
}

std::string resume_manifest(const std::filesystem::path& path, const std::string& now, int rounds) {
  std::ifstream file = open_regular_file(path);
  Json json = parse(file);
  if (!json.is_object()) return now;
  Json resumed = Json::parse(now);
  resumed["after_rounds"] = rounds;
  if (!json["resumed"].is_array()) json["resumed"] = Json::array();
  json["resumed"].push_back(std::move(resumed));
  for (const char* of_the_end : {"end", "seconds", "finish_seconds"}) json.erase(of_the_end);
  return dump(json);
}

std::string complete_manifest(const std::string& manifest, double seconds, double finish_seconds) {
  Json json = Json::parse(manifest);
  json["end"] = time_now();
  json["seconds"] = seconds;
  json["finish_seconds"] = finish_seconds;
  return dump(json);
}

}  // namespace fedselect
