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
#include "fed/messages.hpp"
#include "fed/server.hpp"
#include "fed/trainer.hpp"

namespace fedselect {

/// How much a client's values count in the per-index mean.
enum class Weighting { uniform, samples };
inline constexpr std::array<std::string_view, 2> kWeightingNames{"uniform", "samples"};

/// Which model a method is judged by.
enum class TestedOn {
  after_broadcast,  ///< global values where shared, own values where personal
  after_local,      ///< after local training, before aggregation
  personalised,     ///< after_broadcast, then what Algorithm::before_test does
};
inline constexpr std::array<std::string_view, 3> kTestedOnNames{"after-broadcast", "after-local",
                                                                "personalised"};
/// Whether running means and variances of batch norm stay with the client.
enum class NormStatistics { local, averaged };
inline constexpr std::array<std::string_view, 2> kNormStatisticsNames{"local", "averaged"};

/// The values that a method lets its user choose between with `evaluate_at`.
inline constexpr std::array<std::string_view, 2> kEvaluateAtNames{"after-broadcast", "after-local"};

/// A method of federated learning: what a client does in a round, and how results merge.
///
/// Built from the kit: the verbs of ClientGroup, of Trainer with its LocalStep, and of Server. What
/// is personal stays with the client, the rest becomes the per-index mean over the clients that
/// share it. To add a method: one file in methods/, one line in methods.cpp.
class Algorithm {
 public:
  virtual ~Algorithm() = default;

  /// The method's configuration keys.
  virtual void describe(Fields& fields) = 0;
  /// Why the method can't be run with such sections; empty: it can.
  virtual std::string conflict(const TrainConfig& /*train*/, const ServerConfig& /*server*/) const {
    return {};
  }
  /// Called once, before the first round. Throws InputError if the method means nothing on this
  /// network.
  virtual void prepare(const ParameterLayout& /*layout*/) {}
  /// What a client of the cohort does in a round. The group is freshly loaded; `passes` is P.
  virtual void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const = 0;
  /// The server's part. `cohort_share`: the fraction of all clients that the cohort is.
  virtual void merge(Server& server, double /*cohort_share*/) const { server.take_mean(); }

  /// The server's part after merge, if clients sent messages: what it tells them all and with what
  /// it replaces personal values. Every rank calls it with the same messages.
  virtual void answer(const Messages& /*messages*/, const Answer& /*answer*/) const {}

  /// What a user should know before a run of so many rounds begins; empty: nothing.
  virtual std::string caveat(std::int64_t /*rounds*/) const { return {}; }
  /// The fewest passes a round with which the method trains everything it has to.
  virtual std::int64_t least_passes() const { return 1; }
  virtual TestedOn tested_on() const { return TestedOn::after_broadcast; }
  /// For TestedOn::personalised: makes the model that a client would deploy out of a freshly loaded
  /// group. The state is unchanged by it.
  virtual void before_test(ClientGroup& /*clients*/, Trainer& /*trainer*/) const {}
  virtual Weighting weighting() const { return Weighting::samples; }
  /// What clients keep and send besides the model.
  virtual Belongings belongings() const { return {}; }
  /// Whole vectors that the server keeps, and sends beside the model.
  virtual int server_vectors() const { return 0; }
  /// Fraction of a client's training samples that it never trains on, for Trainer::validate().
  virtual double validation() const { return 0; }
};

}  // namespace fedselect
