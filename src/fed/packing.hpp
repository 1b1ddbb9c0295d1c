#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bits.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

// Masks and models as files and fingerprints have them: without the padding between tensors.

/// Concatenates the bits of all parameter tensors: parameter j is bit j. The bits past the last
/// parameter are 0. `words`: of the padded vector.
std::vector<std::uint8_t> pack_mask(const ParameterLayout& layout, std::span<const Word> words);
/// The values of a padded vector: all parameters, then all statistics.
std::vector<float> pack_model(const ParameterLayout& layout, std::span<const float> values);

}  // namespace fedselect
