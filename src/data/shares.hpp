#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.hpp"

namespace fedselect {

/// How many of n things each of N takers gets. Every result has one entry a taker and the sum n.
using Shares = std::vector<std::int64_t>;

/// Equal shares; the first takers get one more where N doesn't divide n.
Shares share_evenly(std::int64_t n, std::size_t takers);

/// Cuts 0..n at floor(n * cumulated weight / total weight). Weights are not negative, one is
/// positive. A taker of weight 0 gets nothing.
Shares share_by_weight(std::int64_t n, std::span<const double> weights);

/// Whole parts of n * weight / total weight, and one more for the largest remainders (equal ones:
/// lower taker first). Exact. Weights and n are below 2^31, one weight is positive.
Shares share_by_remainder(std::int64_t n, std::span<const std::int64_t> weights);

/// Gives takers that have nothing one thing of whoever has the most then. Needs sum >= N.
void leave_nobody_out(Shares& shares);

/// Gamma(beta, 1) weights: shares in proportion to them are Dirichlet(beta, ..., beta). At least
/// one is positive: where all vanish in double precision, a random taker gets all, the limit for
/// small beta.
std::vector<double> draw_dirichlet_weights(double beta, std::size_t takers, RandomStream stream);

}  // namespace fedselect
