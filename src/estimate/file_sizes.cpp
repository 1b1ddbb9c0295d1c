#include "estimate/file_sizes.hpp"

#include <cmath>
#include <cstring>

#include "base/bits.hpp"
#include "io/metrics_csv.hpp"
#include "io/result_file.hpp"
#include "io/round_journal.hpp"

namespace fedselect {

namespace {

constexpr double kFloat = sizeof(float);

// What zlib leaves of result.h5's arrays, measured on runs of Fashion-MNIST (docs/estimate.md).
constexpr double kHeader = 30e3;      ///< names, attributes, config, provenance, small arrays
constexpr double kRecordBytes = 20;   ///< of a client's metrics in a round, densities apart
constexpr double kModelShare = 0.93;  ///< of a client's model
constexpr double kIndexBytes = 2.5;   ///< of a sample's index
constexpr double kPairBytes = 4;      ///< of a tensor's comparison of two clients
constexpr double kTimingBytes = 70;   ///< of a rank's phases in a round

constexpr double kMetricsRow = 90;  ///< of metrics.csv

/// A client's rows in a checkpoint: numbers of seven columns.
constexpr double kClientBytes = 53;

double result_size(const RunShape& shape) {
  const ParameterLayout& layout = *shape.layout;
  const auto values = static_cast<double>(layout.size() + layout.statistic_size());
  const auto clients = static_cast<double>(shape.clients);
  const auto tensors = static_cast<double>(layout.tensors().size());
  double bytes = kHeader + kFloat * values + kRecordBytes * static_cast<double>(shape.records) +
                 kIndexBytes * static_cast<double>(shape.samples) +
                 kTimingBytes * static_cast<double>(shape.rounds * shape.ranks);
  const bool compares = shape.output.masks && shape.clients <= kMostCompared && shape.mask_bits > 0;
  if (shape.output.masks) bytes += shape.mask_bits / kByteBits;
  if (compares) bytes += clients * clients * tensors * kPairBytes;
  if (shape.output.client_models) bytes += kModelShare * clients * kFloat * values;
  if (shape.cross) bytes += clients * clients * kFloat / 2;
  return bytes;
}

double checkpoint_size(const RunShape& shape, std::span<const ClientState* const> states) {
  const ParameterLayout& layout = *shape.layout;
  const double vector = kFloat * static_cast<double>(layout.padded_size());
  double bytes = kHeader / 2 + vector * static_cast<double>(shape.server_arrays);
  for (const ClientState* state : states) {
    bytes += kClientBytes + kFloat * static_cast<double>(state->personal.size());
    for (const MaskPtr& mask : {state->mask, state->next_mask})
      if (mask && !mask->is_common()) bytes += static_cast<double>(mask->words().size_bytes());
    for (const auto& kept : state->vectors) bytes += kFloat * static_cast<double>(kept.size());
  }
  return bytes;
}

}  // namespace

std::int64_t FileSizes::while_it_runs() const {
  constexpr std::int64_t kCheckpoints = 3;
  return journal + kCheckpoints * checkpoint;
}

FileSizes file_sizes(const RunShape& shape, std::span<const ClientState* const> states) {
  FileSizes sizes{.result = std::llround(result_size(shape)),
                  .checkpoint = std::llround(checkpoint_size(shape, states))};
  const std::size_t tensors = shape.layout->tensors().size();
  sizes.journal = static_cast<std::int64_t>(
      RoundJournal::bytes_of_rounds(shape.rounds, shape.records, tensors, shape.ranks));
  sizes.metrics = std::llround(static_cast<double>(std::strlen(kMetricsHeader)) +
                               kMetricsRow * static_cast<double>(shape.rounds));
  return sizes;
}

}  // namespace fedselect
