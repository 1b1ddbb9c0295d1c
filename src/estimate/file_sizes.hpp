#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fed/client_state.hpp"
#include "io/config.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// What decides how large the files of a run become.
struct RunShape {
  const ParameterLayout* layout = nullptr;
  std::size_t rounds = 0;
  std::size_t clients = 0;
  std::size_t ranks = 0;
  std::size_t records = 0;        ///< clients' records of all rounds
  std::size_t samples = 0;        ///< training and test samples of all clients
  double mask_bits = 0;           ///< that the clients' final masks need when they are compressed
  std::size_t server_arrays = 0;  ///< whole vectors that the server keeps, the model among them
  OutputConfig output;
  bool cross = false;
};

/// Sizes in bytes of a run's files.
struct FileSizes {
  std::int64_t result = 0;      ///< result.h5, compressed: an estimate
  std::int64_t checkpoint = 0;  ///< checkpoint.h5 after the last round
  std::int64_t journal = 0;     ///< journal.bin
  std::int64_t metrics = 0;     ///< metrics.csv: an estimate

  /// What goes when the run is finished: two checkpoints, one that is being written, the journal.
  std::int64_t while_it_runs() const;
};

/// `states`: of all clients, after the last round.
FileSizes file_sizes(const RunShape& shape, std::span<const ClientState* const> states);

}  // namespace fedselect
