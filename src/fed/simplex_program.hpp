#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace fedselect {

/// Weights >= 0 with sum 1 that minimise a^T Q a, for a symmetric, positive semidefinite Q [n][n].
///
/// Where Q leaves a choice, the way from the vertex `start` decides. Deterministic, in double
/// precision; ends when no weight's slope is more than 1e-12 of Q's largest diagonal entry below
/// the mean slope. Source: Wolfe, "Finding the nearest point in a polytope", Math. Programming 11
/// (1976), in terms of the points' products.
std::vector<double> minimize_on_simplex(std::span<const double> q, std::size_t n,
                                        std::size_t start);

}  // namespace fedselect
