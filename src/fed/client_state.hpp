#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "fed/mask.hpp"

namespace fedselect {

/// What a client keeps between rounds. A client that never took part keeps nothing.
struct ClientState {
  MaskPtr mask = nullptr;            ///< null: nothing is personal
  MaskPtr next_mask = nullptr;       ///< proposed this round, takes effect after the broadcast
  UnsetVector<float> personal = {};  ///< values where the mask is 1, in index order
  /// Whole parameter vectors that the method asked for; empty before first use.
  std::vector<UnsetVector<float>> vectors = {};
  std::vector<double> scalars = {};  ///< numbers that the method asked for; empty before first use

  bool is_empty() const {
    return !mask && !next_mask && personal.empty() && vectors.empty() && scalars.empty();
  }
  /// Bytes of memory that only this client needs.
  std::size_t bytes() const;
};

/// A state as bytes. Masks that clients have in common become their number in `common`, which grows
/// by those that are not there yet; others their bits, or the gaps between them in Rice's code
/// (Rice and Plaunt, IEEE Trans. Commun. 1971) where that is shorter.
std::vector<std::byte> pack(const ClientState& state, std::vector<MaskPtr>& common);
/// And back. `bytes`: what pack() returned.
ClientState unpack(std::span<const std::byte> bytes, const std::vector<MaskPtr>& common);

/// A state for another process, the masks that clients have in common with it.
std::vector<std::byte> pack_whole(const ClientState& state);
/// And back. Masks in common become those of `common` that are equal, which grows by the others.
ClientState unpack_whole(std::span<const std::byte> bytes, std::vector<MaskPtr>& common);

}  // namespace fedselect
