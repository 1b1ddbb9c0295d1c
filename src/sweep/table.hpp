#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sweep/record.hpp"
#include "sweep/trials.hpp"

namespace fedselect::sweep {

/// A sweep as it stands: one record a trial of the plan.
struct Standings {
  const SweepConfig& sweep;
  const Plan& plan;
  const std::vector<Record>& records;
};

/// sweep.csv and sweep.h5 in the folder, each replaced as a whole (docs/study-formats.md). Throws
/// SystemError.
void write_csv(const std::filesystem::path& folder, const Standings& standings);
void write_hdf5(const std::filesystem::path& folder, const Standings& standings);

/// The best candidate of a method among those whose trials are complete.
struct Best {
  std::string method;
  std::string values;      ///< "train.lr=0.1, method.rate=0.25"
  std::size_t trials = 0;  ///< seeds
  double score = Record::kNone;
  double half_width = Record::kNone;  ///< of its 95 % confidence interval over seeds
  double bytes = 0;                   ///< mean over seeds
  std::size_t compared = 0;           ///< candidates of the method that are complete
};
std::vector<Best> best_of_each_method(const Standings& standings);

}  // namespace fedselect::sweep
