#include "base/hash.hpp"

#define XXH_STATIC_LINKING_ONLY  // for the size of the state
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fedselect {

struct Hash::State {
  XXH3_state_t xxh;
};

Hash::Hash() : state_(new State) { XXH3_64bits_reset(&state_->xxh); }

Hash::~Hash() = default;

void Hash::add_bytes(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t Hash::value() const { return XXH3_64bits_digest(&state_->xxh); }

}  // namespace fedselect
