#include "io/metrics_csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fedselect {

const char* const kMetricsHeader =
    "round,clients,accuracy_mean,accuracy_worst,accuracy_before_mean,accuracy_after_mean,"
    "loss_mean,personal_share,bytes_up,bytes_down,gradients,diverged,seconds\n";

namespace {

/// A column of metrics.csv over the cohort: of the finite values only, empty if there is none.
class Column {
 public:
  void add(double value) {
    if (!std::isfinite(value)) return;
    sum_ += value;
    least_ = count_ == 0 ? value : std::min(least_, value);
    ++count_;
  }
  std::string mean() const { return text(sum_ / static_cast<double>(count_)); }
  std::string least() const { return text(least_); }

 private:
  std::string text(double value) const { return count_ == 0 ? "" : fmt::format("{}", value); }

  double sum_ = 0;
  double least_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace

std::string metrics_row(const ParameterLayout& layout, const RoundRecord& round, double seconds) {
  Column accuracy;
  Column before;
  Column after;
  Column loss;
  Column personal;
  ClientRecord sum;
  std::int64_t clients = 0;
  std::int64_t diverged = 0;
  for (std::size_t i = 0; i < round.clients.size(); ++i) {
    const ClientRecord& record = round.clients[i];
    if (record.participated == 0) continue;
    ++clients;
    diverged += record.diverged;
    accuracy.add(record.accuracy);
    before.add(record.accuracy_before);
    after.add(record.accuracy_after);
    loss.add(record.loss);
    personal.add(round.personal_share(i, layout));
    sum.bytes_up += record.bytes_up;
    sum.bytes_down += record.bytes_down;
    sum.gradients += record.gradients;
  }
  return fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{:.6f}\n", round.round, clients,
                     accuracy.mean(), accuracy.least(), before.mean(), after.mean(), loss.mean(),
                     personal.mean(), sum.bytes_up, sum.bytes_down, sum.gradients, diverged,
                     seconds);
}

}  // namespace fedselect
