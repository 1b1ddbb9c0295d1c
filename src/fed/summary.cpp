#include "fed/summary.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace fedselect {

namespace {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double percentile(std::span<const double> ascending, double q) {
  const double at = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(at));
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (at - std::floor(at)) * (ascending[above] - ascending[below]);
}

double jains_index(std::span<const double> values) {
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  return squares > 0 ? sum * sum / (static_cast<double>(values.size()) * squares) : 1;
}

}  // namespace

AccuracySummary summarize(std::span<const double> accuracy, std::span<const std::int64_t> samples) {
  std::vector<double> values;
  double correct = 0;
  double tested = 0;
  for (std::size_t i = 0; i < accuracy.size(); ++i) {
    if (!std::isfinite(accuracy[i])) continue;
    values.push_back(accuracy[i]);
    correct += accuracy[i] * static_cast<double>(samples[i]);
    tested += static_cast<double>(samples[i]);
  }
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const std::size_t decile = (values.size() + 9) / 10;
  return {.mean = mean,
          .mean_by_samples = correct / tested,
          .deviation = std::sqrt(squares / static_cast<double>(values.size())),
          .worst = values.front(),
          .percentile_10 = percentile(values, 0.10),
          .percentile_25 = percentile(values, 0.25),
          .percentile_50 = percentile(values, 0.50),
          .percentile_75 = percentile(values, 0.75),
          .percentile_90 = percentile(values, 0.90),
          .worst_decile = mean_of(std::span(values).first(decile)),
          .jain = jains_index(values)};
}

namespace {

double mean_accuracy(const RoundRecord& round) {
  std::vector<double> accuracy;
  for (const ClientRecord& record : round.clients) accuracy.push_back(record.accuracy);
  return summarize(accuracy, std::vector<std::int64_t>(accuracy.size(), 1)).mean;
}

}  // namespace

void CostMeter::add(const RoundRecord& round) {
  if (is_reached_) return;
  ++spent_.rounds;
  for (const ClientRecord& record : round.clients) {
    spent_.bytes += record.bytes_up + record.bytes_down;
    spent_.gradients += record.gradients;
  }
  is_reached_ = mean_accuracy(round) >= target_;
}

}  // namespace fedselect
