// Training and test file of LEAF's JSON.

#include "dataset.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const auto files = fuzz::split(data, size, 2);
  folder.write("train/all.json", files[0]);
  folder.write("test/all.json", files[1]);
  fuzz::use_dataset(folder.path(), DataFormat::leaf);
  return 0;
}
