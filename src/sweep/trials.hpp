#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.hpp"
#include "ops/shapes.hpp"
#include "sweep/points.hpp"

namespace fedselect::sweep {

/// One run of one method with one seed.
struct Trial {
  /// Names its folder: the method's label and the beginning of the SHA-256 of its resolved config,
  /// so that it is found again whatever else becomes of the sweep.
  std::string id;
  std::size_t candidate = 0;
  std::int64_t seed = 0;
  std::vector<std::string> overrides;  ///< of the experiment's keys, as --set takes them
  std::int64_t rounds = 0;
  double work = 0;  ///< of a round, relative to other trials of the method: samples
  ModelConfig model = {};
};

/// A method at a point: what is compared. Its trials differ in the seed alone.
struct Candidate {
  std::string method;  ///< label
  Point values;        ///< of the sweep's parameters; empty: this method's config has no such key
  std::vector<std::size_t> trials;
};

/// Everything that a sweep runs.
struct Plan {
  std::vector<Candidate> candidates;
  std::vector<Trial> trials;
};

/// All candidates, each once: points that a method's config can't tell apart, as where the method
/// has no such key, are one. Reads and validates the config of every trial. Throws InputError
/// that says which point is wrong, and why.
Plan make_plan(const SweepConfig& sweep);

/// Multiplies the work of every trial by what a sample costs its network in training: nominal
/// operations, for such images and classes. 0: there is no such network, so its trial fails at
/// once.
void weigh_models(Plan& plan, const ops::ImageShape& image, int classes);

}  // namespace fedselect::sweep
