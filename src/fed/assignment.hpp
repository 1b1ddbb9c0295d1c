#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fed/client_faults.hpp"
#include "fed/fed_config.hpp"

namespace fedselect {

/// The clients of a round, ascending: max(floor(K N), 1) of the N that take part, which are all
/// `clients` but the new ones; drawn without replacement from those that are available, fewer if
/// these are fewer. Every rank draws the same.
std::vector<int> draw_cohort(const FederationConfig& config, std::uint64_t seed,
                             std::size_t clients, int round, const Absences& absences = {});

/// Distributes clients over ranks, longest work first: each to the rank that has least so far
/// (lowest rank first among equals). Returns the rank of each client. Source: Graham, SIAM J. Appl.
/// Math. 17 (1969): at most 4/3 of the optimum.
std::vector<int> assign_shards(std::span<const double> work, int ranks);
/// The same, for the first `taking_part` clients and for the others apart: these work at another
/// time.
std::vector<int> assign_shards(std::span<const double> work, std::size_t taking_part, int ranks);

}  // namespace fedselect
