#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fed/messages.hpp"
#include "fed/record.hpp"

namespace fedselect {

// What the next round depends on, besides the config: the server's state, the clients' states
// (ClientStore), and, of a round that was cut short, what its clients brought so far. Host memory,
// no pointers: what a checkpoint keeps.

/// An exact sum as it stands, one entry a value of the padded vector.
struct SumState {
  std::vector<std::int64_t> low;
  std::vector<std::int64_t> high;  ///< empty: one word is enough
  std::vector<std::uint32_t> weight;
};

/// What the server keeps between rounds: the same on every rank.
struct ServerState {
  /// "model", "notice", "vector0", ..., and, where its optimizer has them, "first_moment",
  /// "second_moment".
  std::map<std::string, std::vector<float>> arrays;
  std::vector<std::int32_t> optimizer_steps;
};

/// A round that began and is not complete.
struct OpenRound {
  std::vector<ClientRecord> records;  ///< of the clients that this rank hosts and that trained
  Messages messages;                  ///< and what they told the server
  /// With a robust merge what they share, NaN where it is personal: the model's values, then each
  /// contribution. Empty where sums are enough.
  std::vector<Messages> uploads{};
  /// Model and masks are those after the round: of what clients brought only the records are left,
  /// and of the round the test of all clients.
  bool is_merged = false;
};

}  // namespace fedselect
