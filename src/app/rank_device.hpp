#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "fed/device.hpp"

namespace fedselect {

/// What the command line says about devices.
struct DeviceOptions {
  std::string device = "auto";
  int group = 0;
  int sharers = 1;  ///< ranks of the job that may compute on this rank's GPU at the same time
};

/// Declares --device and --group.
void add_device_options(CLI::App& command, DeviceOptions& options);

/// Collective over the job, before parts of it open devices of their own: sets `sharers`.
void count_sharers(DeviceOptions& options, Communicator& job);

/// What a rank computes on, opened for the life of this object.
class RankDevice {
 public:
  /// Collective: all ranks compute on the same kind of device. `auto` takes GPUs if every rank can
  /// compute on one. All ranks throw AgreedError if GPUs were asked for and one of them has none.
  RankDevice(const DeviceOptions& options, Communicator& comm);

  Device view() const { return {*ops_, *sums_, group_, memory_}; }
  /// What this rank computes on: a CPU's instruction set, or a GPU and where it sits.
  const std::string& place() const { return place_; }
  /// Lines for the log: what the ranks compute on, and why.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  void open_cpu(Communicator& comm);
  void open_gpu(Communicator& comm);

  int group_;
  int sharers_;
  std::size_t memory_ = 0;
  std::unique_ptr<ops::Ops> ops_;
  std::unique_ptr<DeviceSum> sums_;  ///< goes before the ops
  std::string place_;
  std::vector<std::string> notes_;
};

}  // namespace fedselect
