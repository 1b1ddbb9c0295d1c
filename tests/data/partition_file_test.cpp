#include "data/partition_file.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.hpp"
#include "comm/communicator.hpp"
#include "data/make_partition.hpp"
#include "files/hdf5.hpp"
#include "idx_writer.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

using Indices = Partition::Indices;
using Numbers = std::vector<std::int64_t>;

class PartitionFile : public ::testing::Test {
 protected:
  /// Two clients of 5 training and 3 test samples, sound unless a test says otherwise.
  struct Content {
    Numbers train_indices{4, 0, 2, 1, 2};
    Numbers train_offsets{0, 3, 5};
    Numbers test_indices{1, 0, 2};
    Numbers test_offsets{0, 1, 3};
  };

  void write(const Content& content) {
    hdf5::File file(path_);
    file.write("/partition/train_indices", content.train_indices);
    file.write("/partition/train_offsets", content.train_offsets);
    file.write("/partition/test_indices", content.test_indices);
    file.write("/partition/test_offsets", content.test_offsets);
    file.close();
  }

  void expect_refused(const Content& content, const std::vector<std::string>& parts) {
    write(content);
    try {
      read_partition_file(path_, 5, 3);
      ADD_FAILURE() << "read";
    } catch (const InputError& error) {
      const std::string text = error.what();
      for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
      EXPECT_NE(text.find("data.partition_file"), std::string::npos) << text;
    }
  }

  testing::TempFolder folder_{"partition-file"};
  std::filesystem::path path_ = folder_.path() / "partition.h5";
};

TEST_F(PartitionFile, KeepsTheOrderAndSharedSamples) {
  write({});
  const auto partition = read_partition_file(path_, 5, 3);
  EXPECT_EQ(partition.train, (std::vector<Indices>{{4, 0, 2}, {1, 2}}));
  EXPECT_EQ(partition.test, (std::vector<Indices>{{1}, {0, 2}}));
}

TEST_F(PartitionFile, TakesIntegersOfAnyWidth) {
  hdf5::File file(path_);
  file.write("/partition/train_indices", std::vector<std::uint8_t>{1, 0});
  file.write("/partition/train_offsets", std::vector<std::int32_t>{0, 1, 2});
  file.write("/partition/test_indices", std::vector<std::int32_t>{0, 1});
  file.write("/partition/test_offsets", std::vector<std::uint8_t>{0, 1, 2});
  file.close();
  EXPECT_EQ(read_partition_file(path_, 2, 2).train, (std::vector<Indices>{{1}, {0}}));
}

TEST_F(PartitionFile, RefusesWhatFitsNoDataSet) {
  expect_refused({.train_indices = {4, 0, 5, 1, 2}}, {"client 0 has sample 5", "5 samples"});
  expect_refused({.train_indices = {4, 0, -1, 1, 2}}, {"client 0 has sample -1"});
  expect_refused({.test_indices = {1, 0, 0}}, {"test_indices", "client 1 has sample 0 twice"});
}

TEST_F(PartitionFile, RefusesWrongOffsets) {
  expect_refused({.train_offsets = {0, 3, 4}}, {"train_offsets", "0 to 5", "0 to 4"});
  expect_refused({.train_offsets = {1, 3, 5}}, {"from 1 to 5"});
  expect_refused({.train_offsets = {0, 4, 3, 5}}, {"ascend", "client 1 goes from 4 to 3"});
  expect_refused({.train_offsets = {0, 9, 5}}, {"ascend", "client 0 goes from 0 to 9"});
  expect_refused({.test_offsets = {0, 3, 3}}, {"client 1 has no test sample"});
  expect_refused({.train_offsets = {0}}, {"train_offsets"});
  expect_refused({.test_offsets = {0, 1, 2, 3}}, {"has 3 clients, train_offsets has 2"});
}

TEST_F(PartitionFile, RefusesAFileOfSomethingElse) {
  hdf5::File(path_).close();
  EXPECT_THROW(read_partition_file(path_, 5, 3), InputError);
  testing::write_plain(path_, {1, 2, 3});
  EXPECT_THROW(read_partition_file(path_, 5, 3), InputError);
  EXPECT_THROW(read_partition_file(folder_.path() / "nowhere.h5", 5, 3), InputError);
}

TEST_F(PartitionFile, SaysHowManyClientsThereAre) {
  write({});
  const auto comm = make_self_communicator();
  const auto data = testing::random_dataset(5, 3, {2, 2, 1}, 2);
  DataConfig config;
  config.partition = PartitionKind::file;
  config.partition_file = path_.string();
  EXPECT_EQ(make_partition(config, 1, data, *comm).clients(), 2U);
  config.clients = 2;
  EXPECT_EQ(make_partition(config, 1, data, *comm).test, (std::vector<Indices>{{1}, {0, 2}}));
  config.clients = 3;
  EXPECT_THROW(make_partition(config, 1, data, *comm), InputError);
}

}  // namespace
}  // namespace fedselect
