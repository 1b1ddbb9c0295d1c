#include "data/idx.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <numeric>

#include "base/error.hpp"
#include "idx_writer.hpp"

namespace fedselect {
namespace {

using testing::Bytes;
using testing::idx_bytes;

class Idx : public ::testing::Test {
 protected:
  Idx() : folder_("idx-" + std::to_string(getpid())) {}

  std::filesystem::path file(const std::string& name = "images") const {
    return folder_.path() / name;
  }
  std::filesystem::path plain(const Bytes& bytes) const {
    testing::write_plain(file(), bytes);
    return file();
  }
  std::filesystem::path gzip(const Bytes& bytes) const {
    testing::write_gzip(file("images.gz"), bytes);
    return file("images.gz");
  }

  static Bytes read(const std::filesystem::path& path, std::size_t axes) {
    IdxReader reader(path, axes);
    Bytes values(reader.size());
    reader.read_values(std::as_writable_bytes(std::span(values)));
    return values;
  }

  /// Reading the file must fail with a text that names it and says these things.
  static void expect_refused(const std::filesystem::path& path, std::size_t axes,
                             const std::vector<std::string>& parts) {
    try {
      read(path, axes);
      ADD_FAILURE() << "read " << path;
    } catch (const InputError& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find(path.string()), std::string::npos) << text;
      for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
      EXPECT_NE(text.find("): "), std::string::npos) << "says what to do: " << text;
    }
  }

  testing::TempFolder folder_;
};

TEST_F(Idx, ReadsAHandWrittenFile) {
  // Two images of 1 x 3: magic, 2, 1, 3, then the pixels.
  const Bytes bytes{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30, 40, 50, 255};
  for (const auto& path : {plain(bytes), gzip(bytes)}) {
    const IdxReader reader(path, 3);
    EXPECT_EQ(reader.lengths(), (std::vector<std::size_t>{2, 1, 3}));
    EXPECT_EQ(reader.size(), 6U);
    EXPECT_EQ(read(path, 3), (Bytes{10, 20, 30, 40, 50, 255}));
  }
}

TEST_F(Idx, ReadsFilesLargerThanZlibsBuffer) {
  Bytes values(std::size_t{700} * 1000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<std::uint8_t>(i * i % 251);
  for (const auto& path :
       {plain(idx_bytes({700, 1000}, values)), gzip(idx_bytes({700, 1000}, values))})
    EXPECT_EQ(read(path, 2), values);
}

// A black picture packs best of all: the bound on what a file can hold must let it pass.
TEST_F(Idx, ReadsTheTightestPacking) {
  const Bytes black(std::size_t{20} << 20U);
  const auto path = gzip(idx_bytes({20U << 20U}, black));
  EXPECT_EQ(read(path, 1), black);
}

TEST_F(Idx, RefusesAFileThatIsNotThere) { expect_refused(file("none"), 1, {"can't be opened"}); }

TEST_F(Idx, RefusesAFolder) {
  std::filesystem::create_directory(file("folder"));
  expect_refused(file("folder"), 1, {"is a folder"});
}

TEST_F(Idx, RefusesAnEmptyFile) {
  expect_refused(plain({}), 1, {"is empty"});
  expect_refused(gzip({}), 1, {"is empty"});
}

TEST_F(Idx, RefusesAnotherKindOfFile) {
  expect_refused(plain({'P', 'N', 'G', '!', 1, 2, 3, 4}), 1,
                 {"no IDX file of unsigned bytes with 1 axes", "50 4e 47 21", "00 00 08 01"});
  // Labels where images belong, and values that are not bytes (0x0d: float).
  expect_refused(plain(idx_bytes({2}, {1, 2})), 3, {"with 3 axes", "00 00 08 01"});
  expect_refused(plain({0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0}), 1, {"00 00 0d 01"});
}

TEST_F(Idx, RefusesATruncatedHeader) {
  expect_refused(plain({0, 0, 8}), 1, {"ends within its header"});
  expect_refused(plain({0, 0, 8, 3, 0, 0, 0, 1, 0, 0}), 3, {"ends within its header"});
}

TEST_F(Idx, RefusesTruncatedValues) {
  expect_refused(plain(idx_bytes({2, 3}, {1, 2, 3, 4, 5})), 2, {"2 x 3 values", "truncated"});
  expect_refused(gzip(idx_bytes({2, 3}, {1, 2, 3, 4, 5})), 2,
                 {"is truncated", "ends after 5 of 2 x 3 values"});
}

TEST_F(Idx, RefusesATruncatedGzipStream) {
  Bytes values(5000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<std::uint8_t>(i * i * i % 253);
  auto packed = testing::read_plain(gzip(idx_bytes({5000}, values)));
  // Without its last byte the values are all there, but the checksum is not.
  packed.pop_back();
  expect_refused(plain(packed), 1, {"is truncated", "checksum"});
  packed.resize(packed.size() / 2);
  expect_refused(plain(packed), 1, {"is truncated", "of 5000 values"});
}

TEST_F(Idx, RefusesADamagedGzipStream) {
  auto packed = testing::read_plain(gzip(idx_bytes({4}, {1, 2, 3, 4})));
  packed[packed.size() - 8] ^= 0xffU;  // the checksum
  expect_refused(plain(packed), 1, {"can't be read", "incorrect data check"});
}

TEST_F(Idx, RefusesTrailingBytes) {
  for (const auto& path : {plain(idx_bytes({2}, {1, 2, 3})), gzip(idx_bytes({2}, {1, 2, 3}))})
    expect_refused(path, 1, {"goes on after the 2 values"});
}

TEST_F(Idx, RefusesAFileWithoutValues) {
  expect_refused(plain(idx_bytes({0}, {})), 1, {"holds no values"});
  expect_refused(plain(idx_bytes({2, 0, 3}, {})), 3, {"holds no values", "2 x 0 x 3"});
}

// 2^96 values: the product overflows 64 bits. Refused by the constructor, before anything is
// allocated.
TEST_F(Idx, RefusesAbsurdLengths) {
  constexpr std::uint32_t kMost = 0xffffffff;
  for (const auto& path : {plain(idx_bytes({kMost, kMost, kMost}, {1, 2, 3})),
                           gzip(idx_bytes({kMost, kMost, kMost}, {1, 2, 3}))}) {
    EXPECT_THROW(IdxReader(path, 3), InputError);
    expect_refused(path, 3, {"can't hold the 4294967295 x 4294967295 x 4294967295 values"});
  }
}

TEST_F(Idx, FindsThePlainFileFirst) {
  EXPECT_THROW(find_idx(folder_.path(), "images"), InputError);
  gzip(idx_bytes({1}, {1}));
  EXPECT_EQ(find_idx(folder_.path(), "images"), file("images.gz"));
  plain(idx_bytes({1}, {1}));
  EXPECT_EQ(find_idx(folder_.path(), "images"), file("images"));
}

TEST_F(Idx, SaysHowToGetAMissingDataSet) {
  const auto message = [](const std::filesystem::path& folder) -> std::string {
    try {
      find_idx(folder, "images");
    } catch (const InputError& error) {
      return error.what();
    }
    return {};
  };
  const auto in_folder = message(folder_.path());
  EXPECT_NE(in_folder.find("neither it nor its .gz is there"), std::string::npos) << in_folder;
  EXPECT_NE(in_folder.find("dataset-fashion-mnist"), std::string::npos) << in_folder;
  EXPECT_NE(in_folder.find("data.path"), std::string::npos) << in_folder;
  const auto nowhere = message(folder_.path() / "nowhere");
  EXPECT_NE(nowhere.find("there is no such folder"), std::string::npos) << nowhere;
}

}  // namespace
}  // namespace fedselect
