#include "data/dataset.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <optional>

#include "base/error.hpp"
#include "data/make_partition.hpp"
#include "idx_writer.hpp"
#include "mpi_main.hpp"

// Every rank runs every test; the root writes the files.
namespace fedselect {
namespace {

using testing::Bytes;
using testing::idx_bytes;
using testing::world;

class LoadDataset : public ::testing::Test {
 protected:
  LoadDataset() {
    std::vector<std::byte> id(sizeof(pid_t));
    const pid_t mine = getpid();
    std::memcpy(id.data(), &mine, sizeof(mine));
    world().broadcast(id, 0);
    pid_t root = 0;
    std::memcpy(&root, id.data(), sizeof(root));
    const auto name = "dataset-" + std::to_string(root);
    if (world().is_root()) folder_.emplace(name);
    config_.path = (std::filesystem::temp_directory_path() / ("fedselect-test-" + name)).string();
    write("train-images-idx3-ubyte", {3, 1, 2}, {0, 255, 0, 255, 51, 51});
    write("train-labels-idx1-ubyte", {3}, {1, 0, 2});
    write("t10k-images-idx3-ubyte.gz", {2, 1, 2}, {1, 2, 3, 4});
    write("t10k-labels-idx1-ubyte.gz", {2}, {2, 1});
  }
  ~LoadDataset() override { world().barrier(); }  // before the root's folder goes

  void write(const std::string& name, const std::vector<std::uint32_t>& lengths,
             const Bytes& values) {
    if (world().is_root()) {
      const auto file = folder_->path() / name;
      if (file.extension() == ".gz")
        testing::write_gzip(file, idx_bytes(lengths, values));
      else
        testing::write_plain(file, idx_bytes(lengths, values));
    }
    world().barrier();
  }

  void expect_refused(const std::vector<std::string>& parts) {
    try {
      load_dataset(config_, world());
      ADD_FAILURE() << "loaded";
    } catch (const InputError& error) {
      const std::string text = error.what();
      for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
      EXPECT_NE(text.find(": "), std::string::npos) << "says what to do: " << text;
    }
    world().barrier();
  }

  DataConfig config_;

 private:
  std::optional<testing::TempFolder> folder_;
};

TEST_F(LoadDataset, ReadsATinyDataSet) {
  const auto data = load_dataset(config_, world());
  EXPECT_NE(data.name.find("fedselect-test-dataset-"), std::string::npos);
  EXPECT_EQ(data.image, (ops::ImageShape{1, 2, 1}));
  EXPECT_EQ(data.classes, 3);
  ASSERT_EQ(data.train.size, 3U);
  ASSERT_EQ(data.test.size, 2U);
  const auto labels = data.train.label_values();
  EXPECT_EQ(std::vector(labels.begin(), labels.end()), (std::vector<std::int32_t>{1, 0, 2}));
  const auto source = data.source(data.test);
  EXPECT_EQ(Bytes(source.pixels, source.pixels + 4), (Bytes{1, 2, 3, 4}));
  EXPECT_EQ(source.labels[0], 2);
  EXPECT_EQ(source.labels[1], 1);
  EXPECT_EQ(source.image, data.image);
  EXPECT_EQ(source.mean, data.mean.data());
  EXPECT_EQ(source.deviation, data.deviation.data());
}

// Pixels / 255 are 0 1 0 1 .2 .2: mean .4, mean of squares 2.08 / 6, variance 1.12 / 6.
TEST_F(LoadDataset, MeasuresMeanAndDeviationOfTheTrainingPart) {
  const auto data = load_dataset(config_, world());
  ASSERT_EQ(data.mean.size(), 1U);
  ASSERT_EQ(data.deviation.size(), 1U);
  EXPECT_FLOAT_EQ(data.mean[0], 0.4F);
  EXPECT_FLOAT_EQ(data.deviation[0], 0.43204938F);
}

TEST_F(LoadDataset, ConstantPixelsHaveDeviationOne) {
  write("train-images-idx3-ubyte", {3, 1, 2}, {51, 51, 51, 51, 51, 51});
  const auto data = load_dataset(config_, world());
  EXPECT_FLOAT_EQ(data.mean[0], 0.2F);
  EXPECT_EQ(data.deviation[0], 1.0F);
}

TEST_F(LoadDataset, NamesTheFolderAlsoWithASlashAtItsEnd) {
  const auto name = load_dataset(config_, world()).name;
  config_.path += "/";
  EXPECT_EQ(load_dataset(config_, world()).name, name);
}

TEST_F(LoadDataset, DescribesItself) {
  const auto text = describe_dataset(load_dataset(config_, world()));
  for (const auto* part :
       {"1 x 2 pixels, 1 channel\n", "training   3 samples", "test       2 samples", "classes    3",
        "mean       0.4000", "deviation  0.4320", "    0         1         0\n",
        "    2         1         1\n"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
}

TEST_F(LoadDataset, RefusesAMissingFolder) {
  config_.path += "-nowhere";
  expect_refused({config_.path, "there is no such folder", "dataset-fashion-mnist", "data.path"});
}

TEST_F(LoadDataset, RefusesAMissingFile) {
  if (world().is_root())
    std::filesystem::remove(std::filesystem::path(config_.path) / "t10k-labels-idx1-ubyte.gz");
  world().barrier();
  expect_refused({"t10k-labels-idx1-ubyte is missing", "neither it nor its .gz is there"});
}

TEST_F(LoadDataset, RefusesLabelsThatDoNotFitTheImages) {
  write("train-labels-idx1-ubyte", {2}, {1, 0});
  expect_refused({"train-labels-idx1-ubyte has 2 labels for 3 images", "train-images-idx3-ubyte"});
}

TEST_F(LoadDataset, RefusesPartsOfDifferentShape) {
  write("t10k-images-idx3-ubyte.gz", {2, 2, 1}, {1, 2, 3, 4});
  expect_refused({"train-images-idx3-ubyte has images of 1 x 2", "of 2 x 1"});
}

TEST_F(LoadDataset, RefusesTestLabelsThatTrainingDoesNotKnow) {
  write("t10k-labels-idx1-ubyte.gz", {2}, {2, 3});
  expect_refused({"t10k-labels-idx1-ubyte.gz", "sample 1 has label 3", "end at 2"});
}

// Its header is right, so the fault shows only while the memory is filled, on one rank of a node.
TEST_F(LoadDataset, RefusesTruncatedPixels) {
  write("t10k-images-idx3-ubyte.gz", {2, 1, 2}, {1, 2, 3});
  expect_refused({"t10k-images-idx3-ubyte.gz is truncated", "ends after 3 of 2 x 1 x 2"});
}

TEST_F(LoadDataset, RefusesTrailingLabels) {
  write("t10k-labels-idx1-ubyte.gz", {2}, {2, 1, 0});
  expect_refused({"t10k-labels-idx1-ubyte.gz is too long (it goes on after the 2 values"});
}

// ---- the data set that the defaults name

class FashionMnist : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(DataConfig{}.path))
      GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
};

TEST_F(FashionMnist, HasItsPublishedNumbers) {
  const auto data = load_dataset(DataConfig{}, world());
  EXPECT_EQ(data.name, "fashion-mnist");
  EXPECT_EQ(data.image, (ops::ImageShape{28, 28, 1}));
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.train.size, 60000U);
  EXPECT_EQ(data.test.size, 10000U);
  std::vector<int> train(10);
  std::vector<int> test(10);
  for (const auto label : data.train.label_values()) ++train[static_cast<std::size_t>(label)];
  for (const auto label : data.test.label_values()) ++test[static_cast<std::size_t>(label)];
  EXPECT_EQ(train, std::vector<int>(10, 6000));
  EXPECT_EQ(test, std::vector<int>(10, 1000));
  EXPECT_NEAR(data.mean[0], 0.2860, 0.00005);
  EXPECT_NEAR(data.deviation[0], 0.3530, 0.00005);
}

TEST_F(FashionMnist, IsPartitionedAlikeOnAllRanks) {
  const auto data = load_dataset(DataConfig{}, world());
  for (const auto kind : {PartitionKind::shards, PartitionKind::dirichlet, PartitionKind::iid,
                          PartitionKind::quantity}) {
    DataConfig config;
    config.partition = kind;
    config.clients = 50;
    const auto mine = make_partition(config, 5, data, world());
    for (const auto* split : {&mine.train, &mine.test})
      for (const auto& indices : *split) {
        const auto bytes = bytes_of(indices);
        std::vector<std::byte> roots(bytes.begin(), bytes.end());
        world().broadcast(roots, 0);
        ASSERT_EQ(roots, std::vector<std::byte>(bytes.begin(), bytes.end()))
            << kPartitionNames[static_cast<std::size_t>(kind)];
      }
  }
}

}  // namespace
}  // namespace fedselect
