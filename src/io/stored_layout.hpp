#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "files/hdf5_reader.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

// The group /layout of result.h5 and checkpoint.h5: names and shapes of a model's tensors.

/// A tensor as /layout tells of it.
struct StoredPlace {
  std::string name;
  hdf5::Shape shape;
  std::size_t size = 1;
};

struct StoredLayout {
  std::vector<StoredPlace> parameters;
  std::vector<StoredPlace> statistics;

  /// The same as the layout of a padded vector. What only a network knows of a tensor is left out.
  ParameterLayout padded() const;
};

/// Values of all these tensors.
std::size_t count_values(const std::vector<StoredPlace>& places);

void write_layout(hdf5::File& file, const ParameterLayout& layout);
/// Throws InputError if there is none, or an impossible one.
StoredLayout read_layout(const hdf5::Reader& file);

/// The global model of a result, /model, as pack_model() has it. Throws likewise.
std::vector<float> read_result_model(const hdf5::Reader& result, const StoredLayout& layout);
/// The global model of a checkpoint without its padding, as pack_model() has it. Throws likewise.
std::vector<float> read_packed_model(const hdf5::Reader& checkpoint, const StoredLayout& layout);

}  // namespace fedselect
