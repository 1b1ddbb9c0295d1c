#pragma once

// What writer and reader of checkpoints have in common: names, and the fingerprints.

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "fed/client_store.hpp"
#include "fed/run_state.hpp"

namespace fedselect::hdf5 {
class Reader;
}

namespace fedselect::checkpoint {

inline constexpr std::string_view kFormat = "fedselect-checkpoint";
inline constexpr std::int64_t kVersion = 2;
/// Of an open round, rows of floats; their clients stand beside them, in "..._client", and a
/// fingerprint of each row and its client in "..._hash".
inline constexpr const char* kMessages = "/open_round/messages";
inline std::string upload_name(std::size_t i) { return fmt::format("/open_round/upload{}", i); }

/// What clients of a federation of so many have done of the open round, each once.
std::vector<ClientRecord> read_records(const hdf5::Reader& file, std::size_t clients);

/// In place of a row's number: none.
inline constexpr std::int64_t kNoRow = -1;

/// A row of a client that never took part holds no numbers.
inline std::uint64_t hash_of(int client, double tested, const ClientState& state) {
  Hash hash;
  hash.add_value(static_cast<std::int64_t>(client));
  hash.add_value(tested);
  for (const MaskPtr& mask : {state.mask, state.next_mask}) {
    hash.add_value(static_cast<std::int64_t>(mask != nullptr));
    if (mask) hash.add(mask->words());
  }
  hash.add(std::span(state.personal));
  for (const auto& vector : state.vectors) {
    hash.add_value(static_cast<std::int64_t>(vector.size()));
    hash.add(std::span(vector));
  }
  hash.add(state.scalars);
  return hash.value();
}

inline std::uint64_t hash_of(int client, std::span<const float> row) {
  Hash hash;
  hash.add_value(static_cast<std::int64_t>(client));
  hash.add(row);
  return hash.value();
}

inline std::uint64_t hash_of(const ClientRecord& record) {
  Hash hash;
  hash.add_bytes(std::as_bytes(std::span(&record, 1)));
  return hash.value();
}

/// Where a run stands.
struct Stage {
  std::int64_t rounds = 0;
  bool round_is_open = false;
  bool round_is_merged = false;
};

/// Of what all ranks hold alike. `sums`: empty but in an open round that is not merged. `stage`:
/// none in files of version 1.
inline std::uint64_t hash_of(const ServerState& server, const std::vector<SumState>& sums,
                             const std::optional<Stage>& stage) {
  Hash hash;
  if (stage) {
    hash.add_value(stage->rounds);
    hash.add_value(static_cast<std::int64_t>(stage->round_is_open));
    hash.add_value(static_cast<std::int64_t>(stage->round_is_merged));
  }
  for (const auto& [name, values] : server.arrays) {
    hash.add(std::span(name));
    hash.add(values);
  }
  hash.add(server.optimizer_steps);
  for (const SumState& sum : sums) {
    hash.add(sum.low);
    hash.add(sum.high);
    hash.add(sum.weight);
  }
  return hash.value();
}

}  // namespace fedselect::checkpoint
