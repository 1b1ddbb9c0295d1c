#include "files/raw_file.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "full_disk.hpp"
#include "scratch_folder.hpp"

namespace fedselect {
namespace {

using testing::bytes_of_file;
using testing::FullDisk;
using testing::ScratchFolder;

/// Or the line that comes when there is space again would stand behind a piece of the one before.
TEST(RawFile, AppendsAllOrNothing) {
  const ScratchFolder folder;
  for (const auto mode : {RawFile::Mode::create, RawFile::Mode::append}) {
    RawFile file(folder / "log", mode);
    file.append("first\n");
    const std::string before = bytes_of_file(folder / "log");
    {
      const FullDisk full(before.size() + 3);
      EXPECT_THROW(file.append("second\n"), SystemError);
    }
    EXPECT_EQ(bytes_of_file(folder / "log"), before);
    file.append("third\n");
    EXPECT_EQ(bytes_of_file(folder / "log"), before + "third\n");
  }
}

}  // namespace
}  // namespace fedselect
