#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fed/record.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// What a method came to, gathered round by round on the root.
class Outcome {
 public:
  Outcome(std::string label, const ParameterLayout& layout)
      : label_(std::move(label)), layout_(&layout) {}

  /// `round`: of all clients; `seconds`: its wall time.
  void add(const RoundRecord& round, double seconds);

  /// Over the clients that were ever tested, of the last test of each; none before the first one.
  std::optional<double> mean_accuracy() const;
  std::optional<double> worst_accuracy() const;
  /// Of the last round: mean over its cohort.
  double personal_share() const { return personal_share_; }
  /// Of all rounds: bytes up and down, sample gradients, wall time.
  std::int64_t bytes() const { return bytes_; }
  std::int64_t gradients() const { return gradients_; }
  double seconds() const { return seconds_; }
  /// How often a client was left out of a round's aggregate because it diverged.
  std::int64_t diverged() const { return diverged_; }

  /// BusySeconds::imbalance() over all rounds: each is as long as its busiest rank.
  double imbalance() const { return busy_.imbalance(); }

  /// The outcomes as a table with a headline.
  static std::string table(const std::vector<Outcome>& outcomes);

 private:
  std::vector<std::string> row() const;

  std::string label_;
  const ParameterLayout* layout_;
  std::vector<double> accuracy_;  ///< last finite one of each client; NaN: never tested
  double personal_share_ = 0;     ///< of the last round: mean over the cohort
  std::int64_t bytes_ = 0;
  std::int64_t gradients_ = 0;
  std::int64_t diverged_ = 0;
  double seconds_ = 0;
  BusySeconds busy_;  ///< of all rounds
};

}  // namespace fedselect
