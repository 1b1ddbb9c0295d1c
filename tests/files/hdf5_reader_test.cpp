#include "files/hdf5_reader.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "scratch_folder.hpp"

namespace fedselect::hdf5 {
namespace {

namespace fs = std::filesystem;
using fedselect::testing::bytes_of_file;
using fedselect::testing::message_of;
using fedselect::testing::ScratchFolder;
using fedselect::testing::write_bytes;

constexpr const char* kRemedy = "write it again";

/// Rows of 3 numbers, enough of them to be stored in several compressed chunks.
constexpr std::size_t kRows = 200000;

std::vector<std::int32_t> table(std::size_t rows = kRows) {
  std::vector<std::int32_t> values(rows * 3);
  std::iota(values.begin(), values.end(), -7);
  return values;
}

/// A file with a bit of everything.
void write_sample(const fs::path& path, std::size_t rows = kRows) {
  File file(path);
  file.set_attribute("format", "sample");
  file.set_attribute("version", std::int64_t{3});
  file.write<float>("/numbers/floats", {1.5F, -0.0F, std::numeric_limits<float>::infinity()});
  file.write<double>("/numbers/doubles", {1.5, std::nan(""), 1e300});
  file.write<std::uint8_t>("/numbers/bytes", {0, 1, 255});
  file.write<std::int64_t>("/numbers/wholes", {-1, 3000000000});
  file.write<std::uint64_t>("/numbers/words", {0, ~std::uint64_t{0}});
  file.write<float>("/empty", {});
  const auto values = table(rows);
  file.write("/table", {rows, 3}, std::span<const std::int32_t>(values), Storage::deflated);
  file.write_text("/text", "one\ntwo");
  file.write_texts("/texts", {"a", "", "\xc3\xa9"});
  file.close();
}

class Sample : public ::testing::Test {
 protected:
  Sample() { write_sample(path_); }

  /// What the reader refuses to do.
  template <class Action>
  std::string refusal(const Action& action) const {
    const Reader reader(path_, kRemedy);
    const std::string message = message_of<InputError>([&] { action(reader); });
    EXPECT_EQ(message.find(path_.string()), 0U) << message;
    EXPECT_TRUE(message.ends_with(": write it again")) << message;
    return message;
  }
  /// Opens the file with plain HDF5 calls, to put something odd into it.
  template <class Action>
  void change(const Action& action) const {
    const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    action(file.get());
  }

  ScratchFolder folder_;
  fs::path path_ = folder_ / "sample.h5";
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Sample, GivesBackWhatWasWritten) {
  const Reader reader(path_, kRemedy);
  const auto floats = reader.read<float>("/numbers/floats");
  EXPECT_EQ(floats, (std::vector<float>{1.5F, 0, std::numeric_limits<float>::infinity()}));
  EXPECT_TRUE(std::signbit(floats[1]));
  EXPECT_TRUE(std::isnan(reader.read<double>("numbers/doubles")[1]));
  EXPECT_EQ(reader.read<std::uint64_t>("/numbers/words")[1], ~std::uint64_t{0});
  EXPECT_EQ(reader.read<std::int32_t>("/table"), table());
  EXPECT_TRUE(reader.read<float>("/empty").empty());
  EXPECT_EQ(reader.read_text("/text"), "one\ntwo");
  EXPECT_EQ(reader.read_texts("/texts"), (std::vector<std::string>{"a", "", "\xc3\xa9"}));
  EXPECT_EQ(reader.read_texts("/text").size(), 1U);
  EXPECT_EQ(reader.text_attribute("format"), "sample");
  EXPECT_EQ(reader.integer_attribute("version"), 3);
}

TEST_F(Sample, SaysWhatIsThere) {
  const Reader reader(path_, kRemedy);
  EXPECT_TRUE(reader.exists("/numbers/floats"));
  EXPECT_TRUE(reader.exists("numbers"));
  EXPECT_TRUE(reader.exists("/"));
  EXPECT_FALSE(reader.exists("/number"));
  EXPECT_FALSE(reader.exists("/no/such/thing"));
  EXPECT_FALSE(reader.exists("/table/below"));
  EXPECT_TRUE(reader.has_attribute("version"));
  EXPECT_FALSE(reader.has_attribute("versions"));
  EXPECT_EQ(reader.shape("/table"), (Shape{kRows, 3}));
  EXPECT_EQ(reader.shape("/text"), Shape{});
  EXPECT_EQ(reader.shape("/empty"), Shape{0});
  EXPECT_EQ(reader.children("/numbers"),
            (std::vector<std::string>{"bytes", "doubles", "floats", "wholes", "words"}));
  EXPECT_EQ(reader.children("/").size(), 5U);
}

TEST_F(Sample, ConvertsNumbersThatFit) {
  const Reader reader(path_, kRemedy);
  EXPECT_EQ(reader.read<double>("/numbers/bytes"), (std::vector<double>{0, 1, 255}));
  EXPECT_EQ(reader.read<std::int64_t>("/numbers/bytes"), (std::vector<std::int64_t>{0, 1, 255}));
  EXPECT_EQ(reader.read<double>("/numbers/floats")[0], 1.5);
}

TEST_F(Sample, RefusesNumbersThatDoNotFit) {
  for (const auto& message :
       {refusal([](const Reader& r) { r.read<std::int32_t>("/numbers/wholes"); }),
        refusal([](const Reader& r) { r.read<std::uint8_t>("/numbers/wholes"); }),
        refusal([](const Reader& r) { r.read<std::int64_t>("/numbers/words"); }),
        refusal([](const Reader& r) { r.read<float>("/numbers/doubles"); })})
    EXPECT_TRUE(contains(message, "too large")) << message;
}

TEST_F(Sample, RefusesTheWrongKind) {
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.read<float>("/text"); }),
                       "/text does not hold numbers"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.read<std::int64_t>("/numbers/floats"); }),
                       "/numbers/floats does not hold whole numbers"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.read_texts("/table"); }),
                       "/table does not hold text"));
  EXPECT_TRUE(
      contains(refusal([](const Reader& r) { r.read_text("/texts"); }), "3 texts instead of one"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.read<float>("/numbers"); }), "no data set"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.children("/table"); }), "is no group"));
  EXPECT_TRUE(
      contains(refusal([](const Reader& r) { r.read<float>("/none"); }), "/none is missing"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.integer_attribute("format"); }),
                       "attribute format is no whole number"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.text_attribute("version"); }),
                       "attribute version does not hold text"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.text_attribute("none"); }),
                       "attribute none is missing"));
}

TEST_F(Sample, ReadsSomeRows) {
  const Reader reader(path_, kRemedy);
  const auto whole = table();
  for (const auto& [first, rows] :
       {std::pair{hsize_t{0}, hsize_t{1}}, {87380, 5}, {kRows - 2, 2}, {kRows, 0}, {5, 0}}) {
    const auto part = reader.read_rows<std::int32_t>("/table", first, rows);
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(first * 3);
    EXPECT_EQ(part,
              std::vector<std::int32_t>(begin, begin + static_cast<std::ptrdiff_t>(rows * 3)));
  }
  for (const auto& [first, rows] :
       {std::pair{kRows, hsize_t{1}}, {kRows + 1, 0}, {1, ~hsize_t{0}}, {kRows - 1, 2}})
    EXPECT_TRUE(contains(
        refusal([&](const Reader& r) { r.read_rows<std::int32_t>("/table", first, rows); }),
        "has 200000 rows"));
}

TEST_F(Sample, ReadsTextsOfFixedLength) {
  change([](hid_t file) {
    for (const auto& [name, padding] :
         {std::pair{"zeros", H5T_STR_NULLPAD}, {"spaces", H5T_STR_SPACEPAD}}) {
      const Handle type(H5Tcopy(H5T_C_S1));
      H5Tset_size(type.get(), 3);
      H5Tset_strpad(type.get(), padding);
      const hsize_t two = 2;
      const Handle space(H5Screate_simple(1, &two, nullptr));
      const Handle data(
          H5Dcreate2(file, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
      H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
               padding == H5T_STR_NULLPAD ? "abca\0\0" : "abca  ");
    }
  });
  const Reader reader(path_, kRemedy);
  EXPECT_EQ(reader.read_texts("/zeros"), (std::vector<std::string>{"abc", "a"}));
  EXPECT_EQ(reader.read_texts("/spaces"), (std::vector<std::string>{"abc", "a"}));
}

/// Makes an empty data set of the type float with these properties.
void create(hid_t file, const char* name, const Shape& shape, hid_t properties) {
  const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
  const Handle data(
      H5Dcreate2(file, name, H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, properties, H5P_DEFAULT));
  EXPECT_GE(data.get(), 0) << name;
}

TEST_F(Sample, RefusesClaimsThatTheFileCannotHold) {
  constexpr hsize_t kHuge = hsize_t{1} << 40;
  change([](hid_t file) {
    create(file, "plain", {kHuge, 3}, H5P_DEFAULT);  // its space is never taken
    const Handle chunked(H5Pcreate(H5P_DATASET_CREATE));
    const Shape chunk{1024, 3};
    H5Pset_chunk(chunked.get(), 2, chunk.data());
    H5Pset_deflate(chunked.get(), 1);
    create(file, "chunked", {kHuge, 3}, chunked.get());
    create(file, "overflow", {kHuge, kHuge}, chunked.get());
  });
  for (const char* name : {"/plain", "/chunked", "/overflow"}) {
    EXPECT_TRUE(
        contains(refusal([&](const Reader& r) { r.read<float>(name); }), "more than its 0 bytes"));
    EXPECT_TRUE(contains(refusal([&](const Reader& r) { r.read_rows<float>(name, 0, 1); }),
                         "more than its 0 bytes"));
  }
}

TEST_F(Sample, RefusesWhatPointsOutOfTheFile) {
  change([](hid_t file) {
    H5Lcreate_external("/etc/other.h5", "/x", file, "external", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/numbers", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    const Handle properties(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_external(properties.get(), "/etc/passwd", 0, 40);
    create(file, "outside", {10}, properties.get());
  });
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.read<float>("/external"); }),
                       "/external is a link to another place"));
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.exists("/soft/floats"); }),
                       "/soft is a link to another place"));
  EXPECT_TRUE(
      contains(refusal([](const Reader& r) { r.read<float>("/outside"); }), "in another file"));
}

TEST_F(Sample, RefusesFiltersItCannotUndo) {
  change([](hid_t file) {
    const Handle properties(H5Pcreate(H5P_DATASET_CREATE));
    const hsize_t chunk = 10;
    H5Pset_chunk(properties.get(), 1, &chunk);
    H5Pset_nbit(properties.get());
    create(file, "odd", {10}, properties.get());
  });
  EXPECT_TRUE(contains(refusal([](const Reader& r) { r.read<float>("/odd"); }), "filter 5"));
}

TEST(Reader, RefusesWhatIsNoHdf5File) {
  const ScratchFolder folder;
  write_bytes(folder / "text.h5", "hello");
  write_bytes(folder / "empty.h5", "");
  const auto refusal = [&](const fs::path& path) {
    const std::string message = message_of<InputError>([&] { Reader(path, kRemedy); });
    EXPECT_EQ(message.find(path.string()), 0U) << message;
    EXPECT_TRUE(message.ends_with(": write it again")) << message;
    return message;
  };
  EXPECT_TRUE(contains(refusal(folder / "text.h5"), "is no HDF5 file"));
  EXPECT_TRUE(contains(refusal(folder / "empty.h5"), "is no HDF5 file"));
  EXPECT_TRUE(contains(refusal(folder / "none.h5"), "No such file"));
  EXPECT_TRUE(contains(refusal(folder / "."), "cannot open this file"));
}

/// Reads all that is in the file by whatever kind it has.
void read_everything(const fs::path& path) {
  const Reader reader(path, kRemedy);
  reader.integer_attribute("version");
  for (const auto& name : reader.children("/numbers")) reader.read<double>("/numbers/" + name);
  reader.read<float>("/empty");
  reader.read<std::int32_t>("/table");
  reader.read_text("/text");
  reader.read_texts("/texts");
}

TEST_F(Sample, EndsWithOneMessageWhereverItIsCut) {
  const std::string whole = bytes_of_file(path_);
  const fs::path torn = folder_ / "torn.h5";
  for (std::size_t i = 0; i < 40; ++i) {
    const std::size_t size = whole.size() * i / 40 + i;
    write_bytes(torn, std::string_view(whole).substr(0, size));
    const std::string message = message_of<InputError>([&] { read_everything(torn); });
    EXPECT_EQ(message.find(torn.string()), 0U) << size << ": " << message;
  }
}

/// A damaged file is refused or read, whatever bit of it is wrong.
TEST(Reader, SurvivesChangedBytes) {
  const ScratchFolder folder;
  const fs::path path = folder / "changed.h5";
  write_sample(path, 500);
  const std::string whole = bytes_of_file(path);
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); i += 7)
    for (const int change : {0x01, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ change);
      write_bytes(path, changed);
      const std::string message = message_of<InputError>([&] { read_everything(path); });
      EXPECT_TRUE(message.empty() || message.find(path.string()) == 0) << i << ": " << message;
      refused += message.empty() ? 0 : 1;
    }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace fedselect::hdf5
