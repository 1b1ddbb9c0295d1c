#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.hpp"
#include "fed/client_group.hpp"
#include "fed/shared_sum.hpp"
#include "fed/trainer.hpp"

namespace fedselect {

/// How much a client's values count in the per-index mean.
enum class Weighting { uniform, samples };
inline constexpr std::array<std::string_view, 2> kWeightingNames{"uniform", "samples"};

/// Which model a method is judged by.
enum class TestedOn {
  after_broadcast,  ///< global values where shared, own values where personal
  after_local,      ///< after local training, before aggregation
  fine_tuned,  ///< after_broadcast, then what Algorithm::fine_tune does; the state is unchanged
};
inline constexpr std::array<std::string_view, 3> kTestedOnNames{"after-broadcast", "after-local",
                                                                "fine-tuned"};
/// The values that a method lets its user choose between with `evaluate_at`.
inline constexpr std::array<std::string_view, 2> kEvaluateAtNames{"after-broadcast", "after-local"};

/// A method of federated learning: what a client does in a round, and how results merge.
///
/// Built from the kit: the verbs of ClientGroup (personalize, keep_top, grow_mask, rewind,
/// remember) and of Trainer (passes, alternate). What is personal stays with the client, the rest
/// becomes the per-index mean over the clients that share it. To add a method: one file in
/// methods/, one line in methods.cpp.
class Algorithm {
 public:
  virtual ~Algorithm() = default;

  /// The method's configuration keys.
  virtual void describe(Fields& fields) = 0;
  /// Called once, before the first round.
  virtual void prepare(const ParameterLayout& /*layout*/) {}
  /// What a client of the cohort does in a round. The group is freshly loaded; `passes` is P.
  virtual void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const = 0;
  /// The server's part: `global` holds the last global model and receives the new one.
  virtual void merge(const SharedSum& sum, ParameterVector& global) const { sum.mean(global); }

  /// What a user should know before a run of so many rounds begins; empty: nothing.
  virtual std::string caveat(std::int64_t /*rounds*/) const { return {}; }
  /// The fewest passes a round with which the method trains everything it has to.
  virtual std::int64_t least_passes() const { return 1; }
  virtual TestedOn tested_on() const { return TestedOn::after_broadcast; }
  /// For TestedOn::fine_tuned: what a client does before its test.
  virtual void fine_tune(ClientGroup& /*clients*/, Trainer& /*trainer*/) const {}
  virtual Weighting weighting() const { return Weighting::samples; }
  /// Whole parameter vectors that each client keeps between rounds.
  virtual std::vector<VectorStart> vectors() const { return {}; }
};

}  // namespace fedselect
