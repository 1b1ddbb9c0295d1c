#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/rank_device.hpp"
#include "app/run_log.hpp"
#include "app/store_limits.hpp"
#include "comm/communicator.hpp"
#include "scaling/measurement.hpp"
#include "scaling/study.hpp"

namespace fedselect {

/// How the points of a scaling study are measured.
struct ScalingSetup {
  std::filesystem::path file;        ///< what is measured goes there (scaling/scaling_file.hpp)
  bool continues = false;            ///< goes on after the repeats in this file, if it is there
  std::vector<std::string> command;  ///< the command line, for the manifest
  DeviceOptions device;
  StoreOptions store;
};

/// Measures points of a scaling study, each on the first ranks of the job while the others wait.
class ScalingRunner {
 public:
  ScalingRunner(ScalingSetup setup, const ScalingStudy& study, Communicator& world, RunLog& log)
      : setup_(std::move(setup)), study_(study), world_(world), log_(log) {}

  /// Collective: repeat after repeat all points, forwards and backwards by turns, so that a machine
  /// that grows slower or faster favours none. Every repeat begins from nothing: data, device and
  /// simulation are made anew. The file is written after each. Returns the measures on the root.
  /// All ranks throw AgreedError if the experiment can't be run as a point wants it, before
  /// anything is measured where the config says so, or if repeats were measured otherwise: of
  /// another config, by another program, on another device or number of ranks.
  std::vector<MeasuredPoint> measure(const std::vector<ScalingPoint>& points);

 private:
  std::vector<MeasuredPoint> begin(const std::vector<ScalingPoint>& points);
  void measure_once(const ScalingPoint& point, MeasuredPoint& measured);
  void measure_on(Communicator& part, const ScalingPoint& point, MeasuredPoint& measured);

  ScalingSetup setup_;
  const ScalingStudy& study_;
  Communicator& world_;
  RunLog& log_;
  int most_ranks_ = 0;  ///< of a point
  bool told_places_ = false;
};

}  // namespace fedselect
