#include "app/outcome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "app/text.hpp"
#include "base/progress.hpp"

namespace fedselect {

namespace {

std::vector<double> finite(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  return values;
}

std::string describe_accuracy(const std::optional<double>& accuracy) {
  return accuracy ? fmt::format("{:.4f}", *accuracy) : "-";
}

}  // namespace

void Outcome::add(const RoundRecord& round, double seconds) {
  seconds_ += seconds;
  const BusySeconds busy = busy_seconds(round.ranks);
  busy_.most += busy.most;
  busy_.mean += busy.mean;
  double personal = 0;
  std::int64_t cohort = 0;
  for (std::size_t i = 0; i < round.clients.size(); ++i) {
    const ClientRecord& record = round.clients[i];
    const auto client = static_cast<std::size_t>(record.client);
    if (client >= accuracy_.size()) accuracy_.resize(client + 1, ClientRecord::kNone);
    if (std::isfinite(record.accuracy)) accuracy_[client] = record.accuracy;
    bytes_ += record.bytes_up + record.bytes_down;
    gradients_ += record.gradients;
    diverged_ += record.diverged;
    if (record.participated == 0) continue;
    ++cohort;
    personal += round.personal_share(i, *layout_);
  }
  personal_share_ = personal / static_cast<double>(cohort);
}

std::optional<double> Outcome::mean_accuracy() const {
  const auto tested = finite(accuracy_);
  if (tested.empty()) return std::nullopt;
  return std::accumulate(tested.begin(), tested.end(), 0.0) / static_cast<double>(tested.size());
}

std::optional<double> Outcome::worst_accuracy() const {
  const auto tested = finite(accuracy_);
  if (tested.empty()) return std::nullopt;
  return *std::min_element(tested.begin(), tested.end());
}

std::vector<std::string> Outcome::row() const {
  return {label_,
          describe_accuracy(mean_accuracy()),
          describe_accuracy(worst_accuracy()),
          fmt::format("{:.4f}", personal_share_),
          describe_bytes(bytes_),
          describe_count(gradients_),
          fmt::format("{:.1f}", seconds_)};
}

std::string Outcome::table(const std::vector<Outcome>& outcomes) {
  std::vector<std::vector<std::string>> rows{{"method", "accuracy", "worst client",
                                              "personal share", "bytes up + down",
                                              "sample gradients", "seconds"}};
  for (const Outcome& outcome : outcomes) rows.push_back(outcome.row());
  return align_table(rows);
}

}  // namespace fedselect
