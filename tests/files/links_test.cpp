// Nothing is written through a link: it may lead out of the folder that it stands in.

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "files/atomic_file.hpp"
#include "files/hdf5.hpp"
#include "files/raw_file.hpp"
#include "scratch_folder.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of_file;
using testing::ScratchFolder;
using testing::write_bytes;

class Links : public ::testing::Test {
 protected:
  Links() {
    write_bytes(outside_, "mine");
    fs::create_symlink(outside_, link_);
  }
  void TearDown() override { EXPECT_EQ(bytes_of_file(outside_), "mine"); }

  ScratchFolder folder_;
  fs::path outside_ = folder_ / "outside";
  fs::path link_ = folder_ / "link";
};

TEST_F(Links, AreNotWrittenThrough) {
  for (const auto mode : {RawFile::Mode::create, RawFile::Mode::append, RawFile::Mode::change})
    EXPECT_THROW(RawFile(link_, mode), SystemError);
  EXPECT_THROW(hdf5::File{link_}, SystemError);
}

TEST_F(Links, AreReadAndReplaced) {
  EXPECT_EQ(RawFile(link_, RawFile::Mode::read).size(), 4U);
  replace_file(link_, "new");
  EXPECT_FALSE(fs::is_symlink(link_));
  EXPECT_EQ(bytes_of_file(link_), "new");
}

TEST_F(Links, InThePlaceOfAPartialFileAreRefused) {
  fs::create_symlink(outside_, folder_ / "result.partial");
  EXPECT_THROW(replace_file(folder_ / "result", "new"), SystemError);
}

TEST_F(Links, SecondNamesThatAKilledProgramLeftAreNotWrittenInto) {
  const fs::path partial = folder_ / "result.partial";
  fs::create_hard_link(outside_, partial);
  replace_file(folder_ / "result", "new");
  EXPECT_EQ(bytes_of_file(folder_ / "result"), "new");
  EXPECT_FALSE(fs::exists(partial));
}

TEST_F(Links, OneOfTwoNamesOfAFileIsGoneAfterARename) {
  const fs::path second = folder_ / "second";
  fs::create_hard_link(outside_, second);
  rename_file(second, outside_);
  EXPECT_FALSE(fs::exists(second));
}

}  // namespace
}  // namespace fedselect
