#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "files/safetensors.hpp"
#include "model/model_config.hpp"
#include "model/network.hpp"

namespace fedselect {

/// The model with which all clients of an experiment begin.
struct InitialModel {
  AlignedVector<float> values;  ///< the padded vector
  std::string note;             ///< for the log: where it comes from; empty: from the seed
};

/// The file config.initial, a path relative to the working directory, or the seeded model if it
/// names none. Throws KeyError of "model.initial" if the file can't be read or doesn't fit.
InitialModel read_initial_model(const ModelConfig& config, const Network& network,
                                std::uint64_t seed);

/// Puts tensors in the places that their names say, in PyTorch's names and layout: every parameter
/// and statistic of the network, and no other.
///
/// If nothing is wrong but the head's first extent, the number of classes, the head's tensors keep
/// the seeded values, and the note says so. Anything else throws InputError that lists all that is
/// missing, unknown, of another shape, or not finite. `origin` names the file in texts.
InitialModel fill_initial_model(const std::vector<FloatTensor>& tensors, const std::string& origin,
                                const Network& network, std::uint64_t seed);

}  // namespace fedselect
