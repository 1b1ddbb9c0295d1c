#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "data/partition.hpp"
#include "fed/record.hpp"
#include "fed/summary.hpp"
#include "files/hdf5.hpp"
#include "io/result_file.hpp"

namespace fedselect {

/// The groups /metrics, /summary and /timings of a result file, filled round by round
/// (docs/result-format.md). Of a round with many clients no more is kept than its summary.
class RoundTables {
 public:
  /// References must outlive this object.
  RoundTables(hdf5::File& file, const RoundShape& shape, const Partition& partition);

  /// The next round, as gather_round() leaves it on the root.
  void add(const RoundRecord& round);
  /// After the last one.
  void finish();

 private:
  /// A data set (R, N) of one member of the client records.
  template <class T>
  struct Column {
    T ClientRecord::*member;
    T missing;  ///< where a round has no record of a client
    hdf5::RowWriter rows;
  };
  template <class T>
  void add_column(std::vector<Column<T>>& columns, const char* name, T ClientRecord::*member,
                  T missing);
  template <class T>
  void fill(std::vector<Column<T>>& columns, const RoundRecord& round) const;
  void add_density(const RoundRecord& round);
  AccuracySummary summary_of(const RoundRecord& round) const;
  void write_summaries();
  void write_timings();

  hdf5::File& file_;
  RoundShape shape_;
  const Partition& partition_;
  std::vector<Column<std::uint8_t>> flags_;
  std::vector<Column<std::int64_t>> counts_;
  std::vector<Column<double>> numbers_;
  hdf5::RowWriter density_;
  std::vector<AccuracySummary> summaries_;
  std::vector<std::vector<RankRecord>> ranks_;  ///< of each round
  CostMeter cost_;
};

}  // namespace fedselect
