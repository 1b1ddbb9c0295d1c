#pragma once

#include <cstdint>
#include <span>

#include "fed/record.hpp"

namespace fedselect {

/// How accuracy is spread over clients. NaN where no client has one. Source: algorithms.md,
/// section 6.
struct AccuracySummary {
  static constexpr double kNone = ClientRecord::kNone;

  double mean = kNone;             ///< every client counts the same
  double mean_by_samples = kNone;  ///< weighted by test samples: correct / samples over all clients
  double deviation = kNone;        ///< standard deviation of the population
  double worst = kNone;
  double percentile_10 = kNone;  ///< linear between order statistics: that number (n - 1) q from 0
  double percentile_25 = kNone;
  double percentile_50 = kNone;
  double percentile_75 = kNone;
  double percentile_90 = kNone;
  double worst_decile = kNone;  ///< mean of the lowest ceil(n / 10)
  double jain = kNone;          ///< Jain's index (sum a)^2 / (n sum a^2); 1: all equal, all 0 too
};

/// The summary of the accuracies that are finite; `samples`: test samples, one entry an accuracy.
AccuracySummary summarize(std::span<const double> accuracy, std::span<const std::int64_t> samples);

/// What had been spent when the mean accuracy of a round's tested clients reached a target.
struct CostToTarget {
  std::int64_t rounds = -1;  ///< -1: never
  std::int64_t bytes = -1;   ///< up and down, of all clients
  std::int64_t gradients = -1;
};

/// Adds up what rounds spend until one reaches the target.
class CostMeter {
 public:
  explicit CostMeter(double target) : target_(target) {}
  /// The next round, from the first on, as gather_round() leaves it on the root.
  void add(const RoundRecord& round);
  CostToTarget cost() const { return is_reached_ ? spent_ : CostToTarget{}; }

 private:
  double target_;
  CostToTarget spent_{.rounds = 0, .bytes = 0, .gradients = 0};
  bool is_reached_ = false;
};

}  // namespace fedselect
