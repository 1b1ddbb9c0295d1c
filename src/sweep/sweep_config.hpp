#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fedselect::sweep {

/// Trials that a sweep may have: all of them are held in memory, and their configs are read before
/// the first one runs.
inline constexpr std::size_t kMostTrials = 1'000'000;

/// One key of the experiment that a sweep varies: over a list of values, or over a range.
struct Parameter {
  std::string key;                  ///< "train.lr", "method.rate": as --set takes it
  std::vector<std::string> values;  ///< as TOML writes them; empty: a range
  double low = 0;
  double high = 0;
  bool log = false;         ///< equal ratios, not equal steps, are equally likely
  bool whole = false;       ///< whole numbers only
  std::int64_t points = 0;  ///< of a range in a grid
  /// The parameter has a part in a point only where this earlier parameter, its number, has one of
  /// these values; -1: always.
  int condition = -1;
  std::vector<std::string> condition_values;
};

enum class Search { grid, random, sobol, latin_hypercube };

/// Successive halving: all points run `first` rounds, the best of them go on.
/// Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020.
struct Halving {
  std::int64_t first = 0;   ///< rounds of the first rung; 0: every trial runs to its end
  std::int64_t factor = 3;  ///< each rung has so many times the rounds of the one before
  /// A rung is judged when all its points are there: which go on depends on nothing else. false: as
  /// soon as a point is among the best of those that are there (ASHA), so that no worker waits;
  /// which go on then depends on who was first.
  bool waits = true;
};

/// What a sweep tries to raise, over the clients.
enum class Metric { accuracy, worst_accuracy };

/// A sweep: what its file says, with every default filled in.
struct SweepConfig {
  std::string name;
  std::string experiment;            ///< path of the config that is varied
  std::vector<std::string> methods;  ///< labels; empty: all of the experiment
  std::vector<std::int64_t> seeds;   ///< empty: the experiment's
  Metric metric = Metric::accuracy;
  Search search = Search::grid;
  std::int64_t points = 0;  ///< of all searches but the grid
  std::int64_t seed = 1;    ///< of the search
  Halving halving;
  std::vector<Parameter> parameters;
  std::vector<std::string>
      overrides;  ///< of the experiment's keys for all trials, as --set has them
};

/// Reads the file of a sweep and validates it whole; the experiment's path is taken from the file's
/// folder. Throws InputError that lists every problem found: file, line, key, why.
SweepConfig read_sweep(const std::string& path);

}  // namespace fedselect::sweep
