#pragma once

#include <filesystem>
#include <memory>

#include "data/dataset_reader.hpp"

/// One opener per format of data sets. Each throws InputError: file, what is wrong, what to do.
/// What the files hold is described in docs/data.md.
namespace fedselect::formats {

/// {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz (MNIST and its relatives).
std::unique_ptr<DatasetReader> open_idx(const std::filesystem::path& folder);

/// data_batch_1.bin, data_batch_2.bin, ..., test_batch.bin: the binary version of CIFAR-10.
std::unique_ptr<DatasetReader> open_cifar10(const std::filesystem::path& folder);
/// train.bin, test.bin: the binary version of CIFAR-100; classes are the fine labels.
std::unique_ptr<DatasetReader> open_cifar100(const std::filesystem::path& folder);

/// {train,test}_{images,labels}.npy.
std::unique_ptr<DatasetReader> open_npy(const std::filesystem::path& folder);

}  // namespace fedselect::formats
