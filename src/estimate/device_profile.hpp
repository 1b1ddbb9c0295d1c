#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// A class of real clients: how fast they send, receive and compute.
struct DeviceClass {
  std::string name;
  double uplink = 0;    ///< Mbit/s, sustained
  double downlink = 0;  ///< likewise
  double compute = 0;   ///< GFLOP/s in training, sustained
  double share = 0;     ///< of the federation's clients; the shares add up to 1
};

/// A federation's devices: a TOML file with a [[class]] for each, as in configs/profiles. Where no
/// share is given all are equal.
struct DeviceProfile {
  std::string name;
  std::vector<DeviceClass> classes;
};

/// Reads a profile and validates it whole. Throws InputError that lists every problem found: file,
/// line, key, why, and the nearest valid key.
DeviceProfile read_profile(const std::string& path);
/// The same for text; `origin` stands in messages where the file's name would.
DeviceProfile parse_profile(std::string_view text, const std::string& origin);

/// What a client has to do in a round.
struct ClientLoad {
  double bytes_up = 0;
  double bytes_down = 0;
  double flops = 0;
};

/// Seconds of such a round on a device: it receives, computes and sends, one after another.
double seconds_on(const DeviceClass& device, const ClientLoad& load);

/// What a federation of real clients costs.
struct FederationCost {
  std::vector<double> seconds;  ///< of a round on each class, mean over the rounds
  double hours = 0;             ///< of all rounds, each as long as its slowest class needs
  double busy = 0;  ///< part of that time in which a client has something to do, mean by shares
};

/// `rounds`: of a mean client of each round. Every round waits for all classes.
FederationCost cost_of_federation(const DeviceProfile& profile,
                                  const std::vector<ClientLoad>& rounds);

}  // namespace fedselect
