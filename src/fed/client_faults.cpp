#include "fed/client_faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

/// What a client's stream of Purpose::faults is asked for: its `step`.
enum Draw : std::uint32_t { kDropout, kSpeed, kByzantine, kNoise };

constexpr const char* kHeadline = "client,first,end";

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;  ///< 10 million absences
constexpr std::size_t kMostQuoted = 60;                       ///< of a line

/// The lines of a text, without their ends.
class Lines {
 public:
  explicit Lines(std::string_view text) : left_(text) {}
  /// None behind the last one.
  std::optional<std::string_view> next() {
    if (left_.empty()) return std::nullopt;
    const std::size_t size = std::min(left_.find('\n'), left_.size());
    std::string_view line = left_.substr(0, size);
    left_.remove_prefix(std::min(size + 1, left_.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number_;
    return line;
  }
  /// Of the line that came last, from 1.
  int number() const { return number_; }

 private:
  std::string_view left_;
  int number_ = 0;
};

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

Absences read_absences(const std::filesystem::path& path, int clients) {
  if (path.empty()) return {};
  const std::string text = read_text_file(
      path, kMostBytes, "name a file of lines \"client,first,end\" in faults.unavailable");
  const auto refuse = [&](int number, std::string_view line, const std::string& must) {
    throw InputError(fmt::format("{}:{}: is \"{}\", must be {}", path.string(), number,
                                 line.substr(0, kMostQuoted), must));
  };
  Lines lines(text);
  if (const auto headline = lines.next(); headline != kHeadline)
    refuse(1, headline.value_or(""), fmt::format("the headline {}", kHeadline));
  Absences absences;
  while (const auto line = lines.next()) {
    const auto absence = parse_absence(*line);
    if (!absence)
      refuse(
          lines.number(), *line,
          "three whole numbers with first < end, such as 3,0,10: client 3 is away in rounds 0 to "
          "9");
    if (absence->client >= clients)
      refuse(lines.number(), *line,
             fmt::format("of one of the {} clients, 0 to {}", clients, clients - 1));
    absences.all.push_back(*absence);
  }
  std::sort(absences.all.begin(), absences.all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.client, a.first, a.end) < std::tie(b.client, b.first, b.end);
  });
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
