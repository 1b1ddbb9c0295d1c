#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "fed/messages.hpp"

namespace fedselect {

/// What becomes of the values that clients share at an index.
enum class Merge {
  mean,
  median,        ///< the middle value; of an even number the mean of the middle two
  trimmed_mean,  ///< the mean without the largest and the smallest floor(trim n) of n values
};
inline constexpr std::array<std::string_view, 3> kMergeNames{"mean", "median", "trimmed-mean"};

/// The order statistic of one index's values, one a sharer, at least one; reorders them. Source:
/// Yin et al., ICML 2018, arXiv 1803.01498, coordinate-wise.
float merge_values(Merge merge, double trim, std::vector<float>& values);

/// What a rank receives at once, at most; it is there three times: sent, received, and in one
/// piece.
inline constexpr std::size_t kMergePiece = std::size_t{64} << 20;

/// Collective: the merged vector of all ranks' uploads, NaN where a client's value is personal.
/// Each rank gets a part of the indices; elsewhere, and where nobody shares, the result is NaN.
/// `uploads`: how many there are on all ranks, at most.
std::vector<float> merge_uploads(Communicator& comm, const Messages& mine, std::size_t uploads,
                                 Merge merge, double trim);

}  // namespace fedselect
