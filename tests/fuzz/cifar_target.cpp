// Training and test file of CIFAR's binary version: the same bytes as CIFAR-10 and as CIFAR-100.

#include "dataset.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const auto files = fuzz::split(data, size, 2);
  for (const char* name : {"data_batch_1.bin", "train.bin"}) folder.write(name, files[0]);
  for (const char* name : {"test_batch.bin", "test.bin"}) folder.write(name, files[1]);
  fuzz::use_dataset(folder.path(), DataFormat::cifar10);
  fuzz::use_dataset(folder.path(), DataFormat::cifar100);
  return 0;
}
