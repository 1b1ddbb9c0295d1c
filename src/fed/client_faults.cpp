#include "fed/client_faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"

namespace fedselect {

namespace {

/// What a client's stream of Purpose::faults is asked for: its `step`.
enum Draw : std::uint32_t { kDropout, kSpeed, kByzantine, kNoise };

constexpr const char* kHeadline = "client,first,end";

/// "3,0,10"; none if it is anything else.
std::optional<Absences::Absence> parse_absence(std::string_view line) {
  std::array<int, 3> numbers{};
  const char* at = line.data();
  const char* const end = at + line.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    const bool is_last = i + 1 == numbers.size();
    if (error != std::errc{} || numbers[i] < 0) return std::nullopt;
    if (is_last ? next != end : next == end || *next != ',') return std::nullopt;
    at = next + 1;
  }
  if (numbers[2] <= numbers[1]) return std::nullopt;
  return Absences::Absence{numbers[0], numbers[1], numbers[2]};
}

RandomStream stream(std::uint64_t seed, Draw draw, int client, int round) {
  return {seed, Purpose::faults, static_cast<std::uint32_t>(client),
          static_cast<std::uint32_t>(round), draw};
}

}  // namespace

bool Absences::covers(int client, int round) const {
  const auto first = std::partition_point(
      all.begin(), all.end(), [&](const Absence& absence) { return absence.client < client; });
  for (auto own = first; own != all.end() && own->client == client; ++own)
    if (own->first <= round && round < own->end) return true;
  return false;
}

Absences read_absences(const std::filesystem::path& path) {
  if (path.empty()) return {};
  std::ifstream file(path);
  if (!file)
    throw InputError(fmt::format(
        "{}: cannot read it: name a file of lines \"client,first,end\" in faults.unavailable",
        path.string()));
  Absences absences;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (number == 1 && line == kHeadline) continue;
    const auto absence = parse_absence(line);
    if (number == 1 || !absence)
      throw InputError(fmt::format(
          "{}:{}: is \"{}\", must be {}", path.string(), number, line.substr(0, 60),
          number == 1 ? fmt::format("the headline {}", kHeadline)
                      : "three whole numbers with first < end, such as 3,0,10: client 3 is away in "
                        "rounds 0 to 9"));
    absences.all.push_back(*absence);
  }
  std::sort(absences.all.begin(), absences.all.end(),
            [](const auto& a, const auto& b) { return a.client < b.client; });
  return absences;
}

void describe(FaultsConfig& config, Fields& fields) {
  constexpr Interval kProbability{.low = 0, .high = 1, .open_high = true};
  fields.real("dropout", config.dropout, kProbability,
              "probability that nothing arrives of a client of the cohort");
  fields.real("deadline", config.deadline, kNonNegative,
              "a client that needs longer for a round than this many times the mean client's work "
              "is too late; 0 = wait for all");
  fields.applies(config.deadline > 0, "speed_spread",
                 "means something with a deadline only: remove it, or set one");
  fields.real("speed_spread", config.speed_spread, kNonNegative,
              "clients' speeds are log-normal with this sigma");
  fields.text("unavailable", config.unavailable,
              "file of lines \"client,first,end\": the client is in no cohort of these rounds");
  fields.real("byzantine", config.byzantine, kFraction, "probability that a client attacks");
  fields.applies(config.byzantine > 0, "attack",
                 "means something with byzantine > 0 only: remove it, or set that");
  fields.choice("attack", config.attack, kAttackNames, "what an attacker sends");
  fields.applies(config.byzantine > 0, "attack_scale",
                 "means something with byzantine > 0 only: remove it, or set that");
  fields.real("attack_scale", config.attack_scale, kPositive, "how strong the attack is");
}

ClientFaults::ClientFaults(FaultsConfig config, std::uint64_t seed,
                           std::span<const std::size_t> samples)
    : config_(std::move(config)), seed_(seed) {
  const double total =
      static_cast<double>(std::accumulate(samples.begin(), samples.end(), std::size_t{0}));
  for (const std::size_t own : samples)
    work_.push_back(static_cast<double>(own) * static_cast<double>(samples.size()) / total);
}

double ClientFaults::time(int client) const {
  const double speed = std::exp(config_.speed_spread * stream(seed_, kSpeed, client, 0).normal());
  return work_[static_cast<std::size_t>(client)] / speed;
}

bool ClientFaults::reports(int client, int round) const {
  if (config_.deadline > 0 && time(client) > config_.deadline) return false;
  return config_.dropout == 0 ||
         stream(seed_, kDropout, client, round).uniform() >= config_.dropout;
}

bool ClientFaults::is_byzantine(int client) const {
  return has_attackers() && stream(seed_, kByzantine, client, 0).uniform() < config_.byzantine;
}

void ClientFaults::draw_noise(int client, int round, std::span<float> values) const {
  RandomStream random = stream(seed_, kNoise, client, round);
  for (float& value : values) value = static_cast<float>(config_.attack_scale * random.normal());
}

}  // namespace fedselect
