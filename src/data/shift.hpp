#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.hpp"
#include "data/dataset.hpp"
#include "data/partition.hpp"
#include "data/resample.hpp"

namespace fedselect {

/// What one client's images go through: they are turned, then corrupted.
struct ClientShift {
  double degrees = 0;  ///< anticlockwise
  Corruption corruption = Corruption::none;
  int severity = 0;  ///< 1 to 5; 0 without corruption
};

/// Each client's shift as the section [data] asks, drawn from (seed, Purpose::feature_shift,
/// client). Throws KeyError for a corruption that images of so many channels don't have.
///
/// - `corruption` = any: one of the kinds that the images can have, uniform.
/// - `corruption_severity` = 0: 1 to 5, uniform.
/// - `rotation` with rotation_kind drawn: uniform in [-rotation, rotation]; steps: client k has
///   k * rotation modulo 360.
std::vector<ClientShift> draw_shifts(const DataConfig& config, std::uint64_t seed,
                                     std::size_t clients, int channels);

/// The picture turned anticlockwise around its centre: bilinear, black where nothing was. Multiples
/// of 90 degrees move whole pixels of a square picture.
Picture rotate(const Picture& picture, double degrees);

/// Puts every client's shift on its samples, and measures the pixels anew (collective). Does
/// nothing if the section asks for none. Noise of a sample comes from (seed,
/// Purpose::feature_shift, client, part, sample): the same on any number of ranks. Throws KeyError
/// on all ranks where a sample belongs to two clients, whose images can't be shifted apart, or
/// draw_shifts() does.
void shift_samples(Dataset& data, const Partition& partition, const DataConfig& config,
                   std::uint64_t seed, Communicator& comm);

}  // namespace fedselect
