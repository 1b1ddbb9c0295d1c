#include "files/regular_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.hpp"
#include "files/file_digest.hpp"
#include "files/raw_file.hpp"
#include "scratch_folder.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::ScratchFolder;
using testing::write_bytes;

/// Opening a pipe into which nobody writes would wait for ever.
TEST(RegularFile, IsAllThatIsOpened) {
  const ScratchFolder folder;
  fs::create_directory(folder / "folder");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink(folder / "pipe", folder / "link");
  for (const auto& [path, what] :
       {std::pair(folder / "folder", "is a folder"), std::pair(folder / "pipe", "is a pipe"),
        std::pair(folder / "link", "is a pipe"), std::pair(fs::path("/dev/zero"), "is a device")}) {
    const std::string said = path.string() + ": " + what;
    EXPECT_TRUE(irregularity(path).starts_with(what)) << path;
    const auto refuses = [&, &path = path](const auto& action) {
      EXPECT_TRUE(message_of<InputError>(action).starts_with(said)) << path;
    };
    refuses([&] { open_regular_file(path); });
    refuses([&] { read_text_file(path, 10, "name one"); });
    refuses([&] { sha256_of_file(path); });
    refuses([&] { RawFile(path, RawFile::Mode::read); });
    for (const auto mode : {RawFile::Mode::create, RawFile::Mode::append, RawFile::Mode::change})
      EXPECT_TRUE(message_of<SystemError>([&] { RawFile(path, mode); }).starts_with(said)) << path;
  }
  EXPECT_EQ(irregularity(folder / "absent"), "");
}

TEST(RegularFile, IsReadAsAWholeUpToASize) {
  const ScratchFolder folder;
  const fs::path path = folder / "text";
  write_bytes(path, "a\nb");
  EXPECT_EQ(read_text_file(path, 3, "name one"), "a\nb");
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(path, 2, "name one"); }),
            path.string() + ": has 3 bytes, more than the 2 that are read: name one");
  EXPECT_EQ(
      message_of<InputError>([&] { read_text_file(folder / "absent", 2, "name one"); }),
      (folder / "absent").string() + ": cannot be read (missing, or not permitted): name one");
}

}  // namespace
}  // namespace fedselect
