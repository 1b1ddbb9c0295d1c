#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "fed/record.hpp"
#include "files/atomic_file.hpp"
#include "model/network.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// What a result file says besides measurements.
struct RunDescription {
  std::string name;   ///< of the experiment
  std::string label;  ///< of the method within it
  std::string method;
  std::string config;    ///< resolved, TOML
  std::string manifest;  ///< JSON, as of the start (io/manifest.hpp)
  std::int64_t seed = 0;
  std::uint64_t data_hash = 0;  ///< of all that the config's files hold; for checkpoints
  std::string device = {};      ///< what it is computed on (Ops::device()); for the audit log
  std::string_view tested_on;
  bool masks = true;
  bool client_models = false;
  bool cross = false;  ///< every client's model was tested on every client's samples
  double target = 0;   ///< mean accuracy whose cost is written; 0: none
};

/// The rounds of a run.
struct RoundShape {
  std::size_t rounds = 0;
  std::size_t tensors = 0;  ///< of the model, without statistics
  double target = 0;        ///< RunDescription::target
};

/// Gives its argument every round of a run, from the first on, as gather_round() leaves them on the
/// root: they need not all be in memory at once. Called more than once.
using EachRound = std::function<void(const std::function<void(const RoundRecord&)>&)>;

/// Clients up to which their masks are compared pair by pair.
inline constexpr std::size_t kMostCompared = 200;

/// result.h5 (docs/result-format.md), written part by part by one process. Each write_ verb is
/// called once, in any order.
///
/// The file grows beside its final name; commit() gives it the name. Without commit() nothing
/// remains of it. Failures throw SystemError.
class ResultFile {
 public:
  explicit ResultFile(const std::filesystem::path& path);
  ~ResultFile();
  ResultFile(ResultFile&&) = delete;

  void write_header(const RunDescription& run, const std::string& dataset, std::size_t rounds,
                    std::size_t clients, const Network& network);
  /// What the clients did, how the accuracies of each round are spread over those tested in it, the
  /// ranks' times, and what it cost to reach the target.
  void write_rounds(const RoundShape& shape, const Partition& partition, const EachRound& each);
  void write_new_clients(const std::vector<NewClientRecord>& clients);
  void write_layout(const ParameterLayout& layout);
  /// `values`: the padded parameter vector.
  void write_model(const ParameterLayout& layout, std::span<const float> values);
  void write_clients(const Partition& partition, const Dataset& data);
  void write_hosts(const std::vector<int>& rank_of_client);
  void write_provenance(const std::string& manifest);

  // Data sets with a row a client, one such set after the other.

  /// Rows follow as pack_mask() makes them. Up to kMostCompared clients are compared on the way.
  void begin_masks(const ParameterLayout& layout, std::size_t clients);
  /// Rows follow as pack_model() makes them.
  void begin_client_models(const ParameterLayout& layout, std::size_t clients);
  /// Rows follow as Simulation::cross_accuracy() makes them.
  void begin_cross(std::size_t clients);
  /// The bytes of the next client's row, in client order; empty: all 0.
  void add_row(std::span<const std::byte> row);

  /// Ends the writing; returns the SHA-256 of the whole file.
  Sha256::Digest close();
  /// Syncs the closed file to disk and gives it its name.
  void commit() { partial_.commit(); }

 private:
  struct Parts;
  void compare_mask(std::span<const std::byte> row);
  PartialFile partial_;
  std::unique_ptr<Parts> parts_;  ///< keeps hdf5.h out of this header
};

}  // namespace fedselect
