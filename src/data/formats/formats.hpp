#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

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

/// NAME_train.h5, NAME_test.h5 as TensorFlow Federated stores them (EMNIST, CIFAR-100): groups are
/// its clients.
std::unique_ptr<DatasetReader> open_tff(const std::filesystem::path& folder);
/// The files NAME_PART.h5 of a folder.
std::vector<std::filesystem::path> find_tff(const std::filesystem::path& folder,
                                            const std::string& part);

/// train/*.json, test/*.json of LEAF with square images of one channel: groups are its users. All
/// is decoded when it is opened.
std::unique_ptr<DatasetReader> open_leaf(const std::filesystem::path& folder);

/// PNG and JPEG files in CLASS/ or DOMAIN/CLASS/, below train/ and test/ or, without these, split
/// by `test_fraction`: groups are domains. Images are brought to side x side pixels; side = 0: all
/// must have one size.
std::unique_ptr<DatasetReader> open_images(const std::filesystem::path& folder, int side,
                                           double test_fraction);
/// Whether there is an image at a depth where open_images() looks.
bool has_images(const std::filesystem::path& folder);

/// This program's own layout in one HDF5 file.
std::unique_ptr<DatasetReader> open_plain(const std::filesystem::path& file);

/// `inner` with the pixels of its test part from a .npy file of one or several blocks of as many
/// images in the same order, such as those of CIFAR-10-C: block 1 is the first.
std::unique_ptr<DatasetReader> replace_test_images(std::unique_ptr<DatasetReader> inner,
                                                   const std::filesystem::path& file,
                                                   std::size_t block);

}  // namespace fedselect::formats
