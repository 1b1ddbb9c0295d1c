#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "files/safetensors.hpp"

namespace fedselect {

/// A tensor with its values, ready to be written as safetensors.
struct StoredTensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  TensorView::Type type = TensorView::Type::float32;
  std::vector<std::byte> bytes;

  TensorView view() const { return {name, shape, type, bytes}; }
};

/// The models that a run's result.h5 holds. Nothing else is read, and nothing in it is trusted:
/// every failure is an InputError that says what is wrong with the file and what to do.
class StoredModels {
 public:
  /// `run`: the run's folder. Throws if it holds no result, or one of another version.
  explicit StoredModels(const std::filesystem::path& run);
  ~StoredModels();

  /// The global model after the last round: all parameters, then all statistics; a zero count of
  /// batches with each norm layer's statistics, which PyTorch expects.
  std::vector<StoredTensor> global_model() const;
  /// The model that client `client` would deploy after the last round, likewise. Throws if there is
  /// no such client, or if the run did not keep the clients' models.
  std::vector<StoredTensor> client_model(std::int64_t client) const;
  /// The final mask of client `client`: 0 or 1 for each parameter, 1 = personal. Throws likewise.
  std::vector<StoredTensor> mask(std::int64_t client) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;  ///< keeps hdf5.h out of this header
};

/// The global model after so many rounds, as StoredModels::global_model() has the last one, from
/// the version that the run kept of it (checkpoint.keep_every). Throws InputError likewise.
std::vector<StoredTensor> kept_global_model(const std::filesystem::path& run, int rounds);

}  // namespace fedselect
