// An HDF5 file as everything that is read of HDF5 but to go on from it: the plain layout of a data
// set, TensorFlow Federated's, a partition, and the models in a run's result and in its versions.

#include "data/partition_file.hpp"
#include "dataset.hpp"
#include "io/stored_models.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto path = folder.write("run/result.h5", bytes);
  folder.write("tff/some_train.h5", bytes);
  folder.write("tff/some_test.h5", bytes);
  folder.write("run/versions/round-1.h5", bytes);
  fuzz::use_dataset(path, DataFormat::hdf5);
  fuzz::use_dataset(folder.path() / "tff", DataFormat::tff_hdf5);
  constexpr std::size_t kSamples = 64;
  fuzz::accepts([&] { read_partition_file(path, kSamples, kSamples); });
  fuzz::accepts([&] {
    const StoredModels models(path.parent_path());
    fuzz::accepts([&] { models.global_model(); });
    fuzz::accepts([&] { models.client_model(1); });
    fuzz::accepts([&] { models.mask(1); });
  });
  fuzz::accepts([&] { kept_global_model(path.parent_path(), 1); });
  return 0;
}
