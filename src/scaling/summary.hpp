#pragma once

#include <string>
#include <vector>

#include "fed/phase_clock.hpp"
#include "scaling/measurement.hpp"
#include "scaling/statistics.hpp"
#include "scaling/study.hpp"

namespace fedselect {

/// What a point comes to. Each repeat of a study is a series of its own: every number is computed
/// for each, and estimated from all (Student's t).
struct PointSummary {
  Estimate seconds;       ///< median round of a repeat
  Estimate speedup;       ///< over ranks: see below
  Estimate efficiency;    ///< over ranks: speedup over the number of ranks
  Estimate imbalance;     ///< MeasuredRound::imbalance(), mean of a repeat's rounds
  PhaseSeconds phases{};  ///< seconds of a round, mean over ranks, counted rounds and repeats
  double reduced = 0;     ///< bytes that a rank hands to sums in a round, mean
  double needed = 0;      ///< MeasuredRound::needed, mean
};

/// What a study comes to. t: seconds of a round; p: ranks over those of the first point, p0.
///  strong  speedup p0 t(first) / t, efficiency speedup / ranks; fit: Amdahl's serial fraction
///  weak    speedup p0 p t(first) / t, efficiency t(first) / t; fit: Gustafson's serial fraction
///  over clients, parameters  speedup and efficiency: the rate at which nominal FLOPs of training
///          are done over that of the first point; fit: the part of the first point's time that
///          doesn't grow with these FLOPs
struct StudySummary {
  std::vector<PointSummary> points;
  std::string fit;    ///< "Amdahl", "Gustafson" or "fixed part"
  Estimate fraction;  ///< that the fit finds
};

/// Points with equally many repeats each, one point at least.
StudySummary summarise(const ScalingStudy& study, const std::vector<MeasuredPoint>& points);

/// What a reader of the numbers should know: weak scaling whose work of a rank differs between
/// points by more than 5 %. Empty: nothing.
std::string caveat_of(const ScalingStudy& study, const std::vector<MeasuredPoint>& points);

/// The bytes that each of `ranks` ranks has to send at least, on average, so that all hold the sum
/// of arrays of so many bytes. Source: Patarasuk and Yuan, J. Parallel Distrib. Comput. 69 (2009).
double least_traffic(double bytes, int ranks);

/// Rows of cells, the first of them the header.
std::vector<std::vector<std::string>> table_of(const std::vector<MeasuredPoint>& points,
                                               const StudySummary& summary);
/// The fit in a sentence.
std::string describe_fit(const StudySummary& summary);

}  // namespace fedselect
