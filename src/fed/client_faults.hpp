#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.hpp"

namespace fedselect {

/// What a Byzantine client sends instead of its model theta, which began the round as theta0.
/// Sources: sign flip and noise, Li et al., AAAI 2019 (RSA); scaled, Bagdasaryan et al., AISTATS
/// 2020 (model replacement).
enum class Attack {
  sign_flip,  ///< theta0 - s (theta - theta0)
  scaled,     ///< theta0 + s (theta - theta0)
  noise,      ///< theta + s n, n standard normal
};
inline constexpr std::array<std::string_view, 3> kAttackNames{"sign-flip", "scaled", "noise"};

/// The section [faults]: what goes wrong with clients.
struct FaultsConfig {
  double dropout = 0;       ///< probability that nothing arrives of a client of a round's cohort
  double deadline = 0;      ///< longest time for a round, in times of the mean client; 0: none
  double speed_spread = 0;  ///< sigma of the clients' log-normal speeds
  std::string unavailable;  ///< file: who can't take part, and when; empty: nobody
  double byzantine = 0;     ///< probability that a client attacks, in all rounds
  Attack attack = Attack::sign_flip;
  double attack_scale = 1;  ///< s
};
void describe(FaultsConfig& config, Fields& fields);

/// Rounds in which clients can't take part.
struct Absences {
  struct Absence {
    int client = 0;
    int first = 0;  ///< round
    int end = 0;    ///< round after the last one
  };
  std::vector<Absence> all;  ///< ascending by client

  bool covers(int client, int round) const;
};

/// Reads lines "client,first,end" after a headline of these words; an empty path names nobody.
/// Throws InputError: file, line, what is wrong; so too for clients beyond the `clients` that there
/// are.
Absences read_absences(const std::filesystem::path& path, int clients);

/// Draws what goes wrong from named streams: every rank knows it of every client, and nothing has
/// to be kept.
class ClientFaults {
 public:
  /// `samples`: of each client's training; a client's time is proportional to them.
  ClientFaults(FaultsConfig config, std::uint64_t seed, std::span<const std::size_t> samples);

  /// Whether what the client of a round's cohort sends arrives, and before the deadline.
  bool reports(int client, int round) const;
  bool is_byzantine(int client) const;
  /// Whether any client is.
  bool has_attackers() const { return config_.byzantine > 0; }
  const FaultsConfig& config() const { return config_; }
  /// Noise of an attack, one value for each of values.size() parameters.
  void draw_noise(int client, int round, std::span<float> values) const;

 private:
  double time(int client) const;

  FaultsConfig config_;
  std::uint64_t seed_;
  std::vector<double> work_;  ///< samples over the mean of all clients
};

}  // namespace fedselect
