#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/partition.hpp"
#include "fed/record.hpp"
#include "fed/summary.hpp"
#include "files/hdf5.hpp"
#include "io/result_file.hpp"

namespace fedselect {

/// The groups /metrics, /summary and /timings of a result file, filled round by round
/// (docs/result-format.md). No more is kept of a round than its summary.
class RoundTables {
 public:
  /// `ranks`: the most of a round. References must outlive this object.
  RoundTables(hdf5::File& file, const RoundShape& shape, std::size_t ranks,
              const Partition& partition);

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
  void add_timings(const RoundRecord& round);
  void write_summaries();

  hdf5::File& file_;
  RoundShape shape_;
  const Partition& partition_;
  std::vector<Column<std::uint8_t>> flags_;
  std::vector<Column<std::int64_t>> counts_;
  std::vector<Column<double>> numbers_;
  hdf5::RowWriter density_;
  std::size_t ranks_;
  hdf5::RowWriter seconds_;
  hdf5::RowWriter rates_;
  std::vector<AccuracySummary> summaries_;
  CostMeter cost_;
};

}  // namespace fedselect
