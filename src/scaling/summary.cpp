#include "scaling/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.hpp"
#include "base/statistics.hpp"

namespace fedselect {

namespace {

double median_round(const MeasuredRepeat& repeat) {
  std::vector<double> seconds;
  for (const MeasuredRound& round : repeat.rounds) seconds.push_back(round.seconds());
  return median(std::move(seconds));
}

using OfRound = std::function<double(const MeasuredRound&)>;

double mean_round(const MeasuredRepeat& repeat, const OfRound& measure) {
  double sum = 0;
  for (const MeasuredRound& round : repeat.rounds) sum += measure(round);
  return sum / static_cast<double>(repeat.rounds.size());
}

double flops_of(const MeasuredRepeat& repeat) {
  return mean_round(repeat, [](const MeasuredRound& round) { return round.flops; });
}

/// What one repeat of all points says.
struct Series {
  std::vector<double> seconds;
  std::vector<double> speedup;
  std::vector<double> efficiency;
  double fraction = 0;
};

Series evaluate(const ScalingStudy& study, const std::vector<MeasuredPoint>& points,
                std::size_t repeat) {
  Series series;
  std::vector<double> ranks;
  std::vector<double> grown;  // ranks, or work, over that of the first point
  const bool over_ranks = study.over == ScalingOver::ranks;
  const bool is_weak = over_ranks && study.kind == ScalingKind::weak;
  const double first_flops = flops_of(points.front().repeats[repeat]);
  for (const MeasuredPoint& point : points) {
    series.seconds.push_back(median_round(point.repeats[repeat]));
    ranks.push_back(point.ranks);
    grown.push_back(over_ranks ? ranks.back() / ranks.front()
                               : flops_of(point.repeats[repeat]) / first_flops);
    const double ratio = series.seconds.front() / series.seconds.back();
    series.efficiency.push_back(over_ranks && !is_weak ? ratio / grown.back()
                                : is_weak              ? ratio
                                                       : ratio * grown.back());
    series.speedup.push_back(series.efficiency.back() * (over_ranks ? ranks.back() : 1));
  }
  if (is_weak) {
    std::vector<double> relative = series.speedup;
    for (double& speedup : relative) speedup /= ranks.front();
    series.fraction = gustafson_fraction(grown, relative);
  } else {
    series.fraction =
        over_ranks ? amdahl_fraction(ranks, series.seconds) : fixed_fraction(grown, series.seconds);
  }
  return series;
}

/// The estimate of what `choose` finds in each series.
template <class Choose>
Estimate estimate_over(const std::vector<Series>& all, const Choose& choose) {
  std::vector<double> values;
  for (const Series& series : all) values.push_back(choose(series));
  return estimate(values);
}

PhaseSeconds mean_phases(const MeasuredPoint& point) {
  PhaseSeconds sum{};
  double count = 0;
  for (const MeasuredRepeat& repeat : point.repeats)
    for (const MeasuredRound& round : repeat.rounds)
      for (const RankRecord& rank : round.ranks) {
        for (std::size_t p = 0; p < kPhases; ++p) sum[p] += rank.seconds[p];
        ++count;
      }
  for (double& seconds : sum) seconds /= count;
  return sum;
}

PointSummary summarise_point(const MeasuredPoint& point, std::size_t k,
                             const std::vector<Series>& all) {
  PointSummary summary;
  summary.seconds = estimate_over(all, [&](const Series& s) { return s.seconds[k]; });
  summary.speedup = estimate_over(all, [&](const Series& s) { return s.speedup[k]; });
  summary.efficiency = estimate_over(all, [&](const Series& s) { return s.efficiency[k]; });
  std::vector<double> imbalances;
  const auto repeats = static_cast<double>(point.repeats.size());
  for (const MeasuredRepeat& repeat : point.repeats) {
    imbalances.push_back(mean_round(repeat, &MeasuredRound::imbalance));
    summary.reduced +=
        mean_round(repeat,
                   [](const MeasuredRound& round) { return static_cast<double>(round.reduced); }) /
        repeats;
    summary.needed +=
        mean_round(repeat,
                   [](const MeasuredRound& round) { return static_cast<double>(round.needed); }) /
        repeats;
  }
  summary.imbalance = estimate(imbalances);
  summary.phases = mean_phases(point);
  return summary;
}

std::string describe(const Estimate& estimate, int digits) {
  if (std::isnan(estimate.mean)) return "-";
  std::string mean = fmt::format("{:.{}f}", estimate.mean, digits);
  if (std::isnan(estimate.low)) return mean;
  return fmt::format("{} +- {:.{}f}", mean, estimate.high - estimate.mean, digits);
}

}  // namespace

StudySummary summarise(const ScalingStudy& study, const std::vector<MeasuredPoint>& points) {
  expect(!points.empty(), "a study of points");
  std::vector<Series> all;
  for (std::size_t repeat = 0; repeat < points.front().repeats.size(); ++repeat)
    all.push_back(evaluate(study, points, repeat));
  StudySummary summary;
  for (std::size_t k = 0; k < points.size(); ++k)
    summary.points.push_back(summarise_point(points[k], k, all));
  summary.fit = study.over != ScalingOver::ranks  ? "fixed part"
                : study.kind == ScalingKind::weak ? "Gustafson"
                                                  : "Amdahl";
  summary.fraction = estimate_over(all, [](const Series& s) { return s.fraction; });
  return summary;
}

std::string caveat_of(const ScalingStudy& study, const std::vector<MeasuredPoint>& points) {
  if (study.over != ScalingOver::ranks || study.kind != ScalingKind::weak) return "";
  std::vector<double> work;
  for (const MeasuredPoint& point : points)
    work.push_back(flops_of(point.repeats.front()) / point.ranks);
  const auto [least, most] = std::minmax_element(work.begin(), work.end());
  constexpr double kTolerance = 1.05;
  if (*most <= kTolerance * *least) return "";
  return fmt::format(
      "the work of a rank differs between points, {:.2f} to 1: weak scaling needs clients whose "
      "number of samples doesn't depend on data.clients, such as shards with data.train_per_class",
      *most / *least);
}

double least_traffic(double bytes, int ranks) { return 2 * bytes * (ranks - 1) / ranks; }

std::vector<std::vector<std::string>> table_of(const std::vector<MeasuredPoint>& points,
                                               const StudySummary& summary) {
  std::vector<std::vector<std::string>> rows{
      {"ranks", "clients", "parameters", "s a round", "speedup", "efficiency", "imbalance"}};
  for (const std::string_view phase : kPhaseNames) rows[0].push_back(fmt::format("{} %", phase));
  rows[0].insert(rows[0].end(), {"MB summed", ": needed"});
  for (std::size_t k = 0; k < points.size(); ++k) {
    const PointSummary& point = summary.points[k];
    rows.push_back({fmt::format("{}", points[k].ranks), fmt::format("{}", points[k].clients),
                    fmt::format("{}", points[k].parameters), describe(point.seconds, 4),
                    describe(point.speedup, 2), describe(point.efficiency, 3),
                    fmt::format("{:.2f}", point.imbalance.mean)});
    double total = 0;
    for (const double seconds : point.phases) total += seconds;
    for (const double seconds : point.phases)
      rows.back().push_back(fmt::format("{:.1f}", 100 * seconds / total));
    constexpr double kMega = 1e6;
    rows.back().push_back(fmt::format("{:.2f}", point.reduced / kMega));
    rows.back().push_back(point.needed > 0 ? fmt::format("{:.2f}", point.reduced / point.needed)
                                           : "-");
  }
  return rows;
}

std::string describe_fit(const StudySummary& summary) {
  if (std::isnan(summary.fraction.mean)) return "";
  const std::string what = summary.fit == "fixed part"
                               ? "part of the first point's round that doesn't grow with the work"
                               : fmt::format("serial fraction ({})", summary.fit);
  return fmt::format("{}: {} by least squares; +- is the 95 % interval of Student's t over repeats",
                     what, describe(summary.fraction, 4));
}

}  // namespace fedselect
