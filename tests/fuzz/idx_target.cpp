// The four IDX files of a data set, plain or gzip.

#include "dataset.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const auto files = fuzz::split(data, size, 4);
  folder.write("train-images-idx3-ubyte", files[0]);
  folder.write("train-labels-idx1-ubyte", files[1]);
  folder.write("t10k-images-idx3-ubyte", files[2]);
  folder.write("t10k-labels-idx1-ubyte", files[3]);
  fuzz::use_dataset(folder.path(), DataFormat::idx);
  return 0;
}
