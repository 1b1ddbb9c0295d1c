#include "io/round_tables.hpp"

#include <array>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

using hdf5::RowWriter;

RoundTables::RoundTables(hdf5::File& file, const RoundShape& shape, std::size_t ranks,
                         const Partition& partition)
    : file_(file),
      shape_(shape),
      partition_(partition),
      density_(RowWriter::of<float>(file, "/metrics/density",
                                    {shape.rounds, partition.clients(), shape.tensors})),
      ranks_(ranks),
      seconds_(RowWriter::of<double>(file, "/timings/seconds", {shape.rounds, ranks, kPhases})),
      rates_(RowWriter::of<double>(file, "/timings/gradient_rate", {shape.rounds, ranks})),
      cost_(shape.target) {
  add_column(flags_, "participated", &ClientRecord::participated, std::uint8_t{0});
  add_column(flags_, "diverged", &ClientRecord::diverged, std::uint8_t{0});
  add_column(flags_, "dropped", &ClientRecord::dropped, std::uint8_t{0});
  add_column(numbers_, "accuracy", &ClientRecord::accuracy, ClientRecord::kNone);
  add_column(numbers_, "accuracy_before", &ClientRecord::accuracy_before, ClientRecord::kNone);
  add_column(numbers_, "accuracy_after", &ClientRecord::accuracy_after, ClientRecord::kNone);
  add_column(numbers_, "loss", &ClientRecord::loss, ClientRecord::kNone);
  add_column(counts_, "samples", &ClientRecord::samples, std::int64_t{0});
  add_column(counts_, "gradients", &ClientRecord::gradients, std::int64_t{0});
  add_column(counts_, "bytes_up", &ClientRecord::bytes_up, std::int64_t{0});
  add_column(counts_, "bytes_down", &ClientRecord::bytes_down, std::int64_t{0});
  add_column(numbers_, "flops", &ClientRecord::flops, 0.0);
  add_column(counts_, "mask_changes", &ClientRecord::mask_changes, std::int64_t{0});
}

template <class T>
void RoundTables::add_column(std::vector<Column<T>>& columns, const char* name,
                             T ClientRecord::*member, T missing) {
  columns.push_back({member, missing,
                     RowWriter::of<T>(file_, std::string("/metrics/") + name,
                                      {shape_.rounds, partition_.clients()})});
}

template <class T>
void RoundTables::fill(std::vector<Column<T>>& columns, const RoundRecord& round) const {
  for (Column<T>& column : columns) {
    std::vector<T> row(partition_.clients(), column.missing);
    for (const ClientRecord& record : round.clients)
      row[static_cast<std::size_t>(record.client)] = record.*column.member;
    column.rows.append(std::span<const T>(row));
  }
}

void RoundTables::add(const RoundRecord& round) {
  fill(flags_, round);
  fill(counts_, round);
  fill(numbers_, round);
  add_density(round);
  summaries_.push_back(summary_of(round));
  add_timings(round);
  if (shape_.target > 0) cost_.add(round);
}

void RoundTables::add_density(const RoundRecord& round) {
  const std::size_t tensors = shape_.tensors;
  expect(round.density.size() == round.clients.size() * tensors, "a density a tensor");
  std::vector<float> row(partition_.clients() * tensors, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < round.clients.size(); ++i) {
    const auto client = static_cast<std::size_t>(round.clients[i].client);
    std::memcpy(row.data() + client * tensors, round.density.data() + i * tensors,
                tensors * sizeof(float));
  }
  density_.append(std::span<const float>(row));
}

/// Ranks that the round did not have are NaN.
void RoundTables::add_timings(const RoundRecord& round) {
  std::vector<double> seconds;
  std::vector<double> rates;
  for (const RankRecord& rank : round.ranks) {
    seconds.insert(seconds.end(), rank.seconds.begin(), rank.seconds.end());
    rates.push_back(rank.gradient_rate);
  }
  seconds.resize(ranks_ * kPhases, ClientRecord::kNone);
  rates.resize(ranks_, ClientRecord::kNone);
  seconds_.append(std::span<const double>(seconds));
  rates_.append(std::span<const double>(rates));
}

AccuracySummary RoundTables::summary_of(const RoundRecord& round) const {
  std::vector<double> accuracy;
  std::vector<std::int64_t> samples;
  for (const ClientRecord& record : round.clients) {
    const auto& own = partition_.test[static_cast<std::size_t>(record.client)];
    accuracy.push_back(record.accuracy);
    samples.push_back(static_cast<std::int64_t>(own.size()));
  }
  return summarize(accuracy, samples);
}

void RoundTables::finish() {
  expect(summaries_.size() == shape_.rounds, "as many rounds as were announced");
  write_summaries();
  file_.write_texts("/timings/phase", {kPhaseNames.begin(), kPhaseNames.end()});
  if (shape_.target <= 0) return;
  const CostToTarget cost = cost_.cost();
  file_.set_attribute("rounds_to_target", cost.rounds);
  file_.set_attribute("bytes_to_target", cost.bytes);
  file_.set_attribute("gradients_to_target", cost.gradients);
}

void RoundTables::write_summaries() {
  using Member = double AccuracySummary::*;
  constexpr std::array<std::pair<const char*, Member>, 11> kMembers{{
      {"mean", &AccuracySummary::mean},
      {"mean_by_samples", &AccuracySummary::mean_by_samples},
      {"deviation", &AccuracySummary::deviation},
      {"worst", &AccuracySummary::worst},
      {"percentile_10", &AccuracySummary::percentile_10},
      {"percentile_25", &AccuracySummary::percentile_25},
      {"percentile_50", &AccuracySummary::percentile_50},
      {"percentile_75", &AccuracySummary::percentile_75},
      {"percentile_90", &AccuracySummary::percentile_90},
      {"worst_decile", &AccuracySummary::worst_decile},
      {"jain", &AccuracySummary::jain},
  }};
  for (const auto& [name, member] : kMembers) {
    std::vector<double> values;
    for (const AccuracySummary& summary : summaries_) values.push_back(summary.*member);
    file_.write(std::string("/summary/") + name, values);
  }
}

}  // namespace fedselect
